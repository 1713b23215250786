/// What `/live` and `/ready` answer from. It belongs to the control thread.
final class Health {
    /// What keeps captured connections from the proxy, a sentence each.
    var captureFaults: [String] = []
    var isStarted = false
    var isDraining = false
    var hasUpstream = false
    var needsUpstream = false
    /// Why sockets that should be listened on are not.
    var listenerProblems: [String] = []
    /// When the first certificate that is in use expires; nil for none.
    var expiry: CertificateExpiry?

    /// Why the pod should get no traffic, one sentence each; empty when it should.
    ///
    /// - Parameter now: seconds since the epoch.
    func obstacles(at now: Int64) -> [String] {
        var obstacles: [String] = []
        if !isStarted { obstacles.append("the workers have not started") }
        obstacles += captureFaults.map { "capture: \($0)" }
        if needsUpstream, !hasUpstream { obstacles.append("UPSTREAM_URL has no address yet") }
        if let expiry, expiry.seconds <= now {
            obstacles.append("\(expiry.what) expired at \(Timestamp.text(seconds: expiry.seconds))")
        }
        obstacles += listenerProblems
        if isDraining { obstacles.append("draining") }
        return obstacles
    }
}
