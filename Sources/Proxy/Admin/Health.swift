import CLinux

/// What `/live` and `/ready` answer from. It belongs to the control thread.
final class Health {
    var certificates: MaterialStatus?
    /// What keeps captured connections from the proxy, a sentence each.
    var captureFaults: [String] = []
    var isStarted = false
    var isDraining = false
    var hasUpstream = false
    var needsUpstream = false
    /// Why sockets that should be listened on are not.
    var listenerProblems: [String] = []
    /// Why the pod should get no traffic, one sentence each; empty when it should.
    ///
    /// - Parameter now: seconds since the epoch.
    func obstacles(at now: Int64) -> [String] {
        var obstacles: [String] = []
        if !isStarted { obstacles.append("the workers have not started") }
        obstacles += captureFaults.map { "capture: \($0)" }
        if needsUpstream, !hasUpstream { obstacles.append("UPSTREAM_URL has no address yet") }
        let expired = certificates?.obstacles(now) ?? []
        obstacles += expired
        if expired.isEmpty, let expiry = firstExpiry, expiry.seconds < now {
            obstacles.append("\(expiry.what) expired at \(Timestamp.text(seconds: expiry.seconds))")
        }
        obstacles += listenerProblems
        if isDraining { obstacles.append("draining") }
        return obstacles
    }

    /// What is found in a material is kept: probes ask often, certificates change seldom.
    private var looked: (reloads: UInt64, expiry: CertificateExpiry?)?

    /// When the first certificate that is in use expires: of the chains too, and the last of the anchors.
    private var firstExpiry: CertificateExpiry? {
        guard let certificates else { return nil }
        if let looked, looked.reloads == certificates.reloads { return looked.expiry }
        let expiry = certificates.material.expiry
        looked = (certificates.reloads, expiry)
        return expiry
    }

    /// What an operator should know although traffic may come, one sentence each.
    var remarks: [String] { certificates?.remarks(linux_wall_microseconds() / 1_000_000) ?? [] }
}
