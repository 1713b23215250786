/// The connections of one worker to one destination: idle HTTP/1.1 ones, most recently used last, and HTTP/2 ones.
///
/// The most recently used is taken first: it is the least likely to be dead, and the others may grow old and close.
final class UpstreamPool {
    let target: ConnectTarget
    private let worker: Worker
    private var idle: [HTTP1Upstream] = []
    private(set) var busyCount = 0
    private var multiplexed: [HTTP2Upstream] = []
    /// Streams that the upstream takes on a connection. A new one says so only after the first requests are on their
    /// way, so what an earlier one said is believed.
    var streamsPerConnection = Limits.streamsPerUpstream {
        didSet { streamsPerConnection = max(1, min(streamsPerConnection, Limits.streamsPerUpstream)) }
    }
    private var negotiation: Negotiation?
    /// Until when the server is known to speak no HTTP/2.
    private var speaksOnlyHTTP1Until = Int64.min

    init(_ target: ConnectTarget, _ worker: Worker) {
        self.target = target
        self.worker = worker
    }

    /// A connection, or a stream of one, for one request; nil when the exchange is told later, by `connectionIsKnown`.
    ///
    /// - Parameter fresh: no connection that may have died meanwhile.
    func take(
        _ version: UpstreamVersion, fresh: Bool, for exchange: Exchange
    ) throws(ChannelError) -> UpstreamLink? {
        switch version {
        case .http1: return .http1(try takeHTTP1(fresh: fresh))
        case .http2: return .http2(try takeHTTP2(fresh: fresh))
        case .negotiated:
            if worker.now < speaksOnlyHTTP1Until { return .http1(try takeHTTP1(fresh: fresh)) }
            if let link = multiplexed.last(where: { $0.hasRoom && !(fresh && $0.isReused) }) {
                return .http2(link.makeRequest())
            }
            if negotiation == nil { negotiation = try Negotiation(self, worker) }
            negotiation?.waiting.append(exchange)
            return nil
        }
    }

    // MARK: HTTP/1.1

    private func takeHTTP1(fresh: Bool) throws(ChannelError) -> HTTP1Upstream {
        while !fresh, let upstream = idle.popLast() {
            guard isCurrent(upstream.channel) else {
                upstream.channel.close()
                continue
            }
            busyCount += 1
            return upstream
        }
        let channel = try Channel(connectingTo: target, offering: .http1, in: worker.reactor)
        busyCount += 1
        return HTTP1Upstream(channel, self, worker)
    }

    /// The request is over and the connection is good for another.
    func giveBack(_ upstream: HTTP1Upstream) {
        busyCount -= 1
        guard idle.count < Limits.idlePerPool, !worker.isDraining, isCurrent(upstream.channel),
            !upstream.channel.isEnding
        else { return upstream.channel.close() }
        idle.append(upstream)
        upstream.channel.setDeadline(after: worker.timeouts.idle)
    }

    /// A busy connection has ended.
    func forgetBusy() { busyCount -= 1 }

    /// An idle connection has ended.
    func forgetIdle(_ upstream: HTTP1Upstream) {
        idle.removeAll { $0 === upstream }
    }

    // MARK: HTTP/2

    private func takeHTTP2(fresh: Bool) throws(ChannelError) -> HTTP2Request {
        if let upstream = multiplexed.last(where: { $0.hasRoom && !(fresh && $0.isReused) }) {
            return upstream.makeRequest()
        }
        let channel = try Channel(connectingTo: target, offering: .http2, in: worker.reactor)
        guard let upstream = HTTP2Upstream(channel, self, worker) else {
            channel.close()
            throw .noAddress("the upstream")
        }
        multiplexed.append(upstream)
        return upstream.makeRequest()
    }

    func forget(_ upstream: HTTP2Upstream) {
        multiplexed.removeAll { $0 === upstream }
    }

    // MARK: negotiation

    func negotiated(_ negotiation: Negotiation, _ outcome: Negotiation.Outcome) {
        self.negotiation = nil
        var failure: ChannelError?
        switch outcome {
        case .http2(let channel):
            if let upstream = HTTP2Upstream(channel, self, worker) {
                multiplexed.append(upstream)
                upstream.begin()
            } else {
                channel.close()
            }
        case .http1(let channel):
            speaksOnlyHTTP1Until = worker.now + Limits.protocolMemoryMicroseconds
            busyCount += 1
            let upstream = HTTP1Upstream(channel, self, worker)
            upstream.rest()
        case .failed(let error): failure = error
        }
        for exchange in negotiation.waiting { exchange.connectionIsKnown(failure) }
        // Certificates that changed during its handshake: it serves those who waited for it, and no others.
        if case .http2(let channel) = outcome, channel.isOpen, !isCurrent(channel) { closeIdle() }
    }

    // MARK: certificates

    /// The connection was made, or will be, with the certificates that are in force.
    func isCurrent(_ channel: Channel) -> Bool {
        channel.phase == .connecting || channel.tlsContext === target.tls?.context
    }

    /// An exchange does not want the connection any more that it has been waiting for.
    func stopWaiting(_ exchange: Exchange) { negotiation?.waiting.removeAll { $0 === exchange } }

    // MARK: the end

    var isUnused: Bool { busyCount == 0 && idle.isEmpty && multiplexed.isEmpty && negotiation == nil }

    func closeIdle() {
        for upstream in idle { upstream.channel.close() }
        idle = []
        for upstream in multiplexed { upstream.closeWhenIdle() }
    }
}
