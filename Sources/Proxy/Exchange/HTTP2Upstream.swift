/// An HTTP/2 connection to an upstream, shared by as many exchanges as the upstream takes.
final class HTTP2Upstream: HTTP2Connection {
    private let pool: UpstreamPool
    private var requests: [HTTP2Request?] = []
    private var spare: [HTTP2Request] = []
    private(set) var isReused = false
    private var isLeaving = false

    init?(_ channel: Channel, _ pool: UpstreamPool, _ worker: Worker) {
        guard let library = worker.http2,
            let session = HTTP2Session(.client, library, maxHeadBytes: Limits.answerHeadBytes)
        else { return nil }
        self.pool = pool
        super.init(worker, channel, session)
        channel.user = self
    }

    var scheme: StaticString { pool.target.tls == nil ? "http" : "https" }

    /// Another stream may begin.
    var hasRoom: Bool {
        !isOver && !isLeaving && pool.isCurrent(channel) && session.takesRequests
            && session.activeStreams < min(session.peerConcurrentStreams, pool.streamsPerConnection)
    }

    func makeRequest() -> HTTP2Request { spare.popLast() ?? HTTP2Request(self) }

    func opened(_ request: HTTP2Request, as slot: HTTP2Slot) {
        while requests.count <= slot { requests.append(nil) }
        requests[slot] = request
        if channel.isOpen { rest() }
    }

    // MARK: the connection

    override func channelOpened(_ channel: Channel) {
        worker.upstreamOpened(channel)
        begin()
    }

    /// The channel stands: what waits is sent.
    func begin() {
        rest()
        scheduleFlush()
        pool.target.tls?.remember(channel)
    }

    override func happened(_ event: HTTP2Event, _ bytes: Span<UInt8>, _ text: Span<UInt8>) {
        switch event {
        case .head(let slot, let range, let endsStream):
            if !isReused { pool.streamsPerConnection = session.peerConcurrentStreams }
            isReused = true
            request(slot)?.headCame(text.extracting(range), endsStream: endsStream)
        case .headTooLarge(let slot, _), .headMalformed(let slot): request(slot)?.headIsBad()
        case .trailers(let slot, let range): request(slot)?.trailersCame(text.extracting(range))
        case .data(let slot, let range): request(slot)?.bodyCame(bytes.extracting(range))
        case .end(let slot): request(slot)?.bodyEnded()
        case .closed(let slot, let code):
            session.free(slot)
            guard let request = request(slot) else { break }
            requests[slot] = nil
            lastUse = worker.now
            if code == HTTP2ErrorCode.refusedStream { pool.streamsPerConnection = session.peerConcurrentStreams }
            request.streamClosed(code)
            if spare.count < 16 { spare.append(request) }
            if session.activeStreams == 0 { becameIdle() }
        case .goAway:
            leave()
            if session.activeStreams == 0 { session.terminate(HTTP2ErrorCode.none) }
        }
    }

    private func becameIdle() {
        pool.target.tls?.remember(channel)
        if isLeaving || worker.isDraining { session.terminate(HTTP2ErrorCode.none) }
    }

    private func request(_ slot: HTTP2Slot) -> HTTP2Request? { slot < requests.count ? requests[slot] : nil }

    override func bodyMoved(_ slot: HTTP2Slot) { request(slot)?.bodyMoved() }

    // MARK: time and end

    override func nextDeadline() -> Int64 {
        guard session.activeStreams > 0 else { return idleDeadline }
        var next = worker.timeouts.idle / 2
        for case let request? in requests { next = min(next, max(0, request.deadline - worker.now)) }
        return next
    }

    override func deadlinePassed() {
        // Streams that nobody waits for may never end: an upstream that takes none of them leaves even their reset unsent.
        guard requests.contains(where: { $0?.isWanted ?? false }) else {
            if worker.now - lastUse >= worker.timeouts.idle { end(nil) }
            return
        }
        for case let request? in requests where request.deadline <= worker.now { request.timedOut() }
    }

    override func channelDraining(_ channel: Channel) {
        leave()
        if session.activeStreams == 0 {
            session.terminate(HTTP2ErrorCode.none)
            scheduleFlush()
        }
    }

    /// Takes no new requests; those that run go on.
    func leave() {
        guard !isLeaving else { return }
        isLeaving = true
        pool.forget(self)
    }

    func closeWhenIdle() {
        leave()
        if session.activeStreams == 0 { end(nil) }
    }

    override func connectionEnded(_ error: ChannelError?) {
        if let error { worker.upstreamFailed(channel, error) }
        leave()
        let running = requests
        requests = []
        spare = []
        for case let request? in running { request.connectionEnded(error) }
    }
}
