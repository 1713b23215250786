/// The connections of one worker to one destination: the idle ones, most recently used last.
///
/// The most recently used is taken first: it is the least likely to be dead, and the others may grow old and close.
final class UpstreamPool {
    let target: ConnectTarget
    private let worker: Worker
    private var idle: [HTTP1Upstream] = []
    private(set) var busyCount = 0

    init(_ target: ConnectTarget, _ worker: Worker) {
        self.target = target
        self.worker = worker
    }

    /// A connection for one request: an idle one unless `fresh` is asked for.
    func take(fresh: Bool = false) throws(ChannelError) -> HTTP1Upstream {
        if !fresh, let upstream = idle.popLast() {
            busyCount += 1
            return upstream
        }
        let channel = try Channel(connectingTo: target, in: worker.reactor)
        busyCount += 1
        return HTTP1Upstream(channel, self, worker)
    }

    /// The request is over and the connection is good for another.
    func giveBack(_ upstream: HTTP1Upstream) {
        busyCount -= 1
        guard idle.count < Limits.idlePerPool, !worker.isDraining else { return upstream.channel.close() }
        idle.append(upstream)
        upstream.channel.setDeadline(after: worker.timeouts.idle)
    }

    /// A busy connection has ended.
    func forgetBusy() { busyCount -= 1 }

    /// An idle connection has ended.
    func forgetIdle(_ upstream: HTTP1Upstream) {
        idle.removeAll { $0 === upstream }
    }

    var isUnused: Bool { busyCount == 0 && idle.isEmpty }

    func closeIdle() {
        for upstream in idle { upstream.channel.close() }
        idle = []
    }
}
