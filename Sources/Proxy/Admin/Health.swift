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

    /// Why the pod should get no traffic, one sentence each; empty when it should.
    var obstacles: [String] {
        var obstacles: [String] = []
        if !isStarted { obstacles.append("the workers have not started") }
        obstacles += captureFaults.map { "capture: \($0)" }
        if needsUpstream, !hasUpstream { obstacles.append("UPSTREAM_URL has no address yet") }
        obstacles += certificates?.obstacles(linux_wall_microseconds() / 1_000_000) ?? []
        if isDraining { obstacles.append("draining") }
        return obstacles
    }

    /// What an operator should know although traffic may come, one sentence each.
    var remarks: [String] { certificates?.remarks(linux_wall_microseconds() / 1_000_000) ?? [] }
}
