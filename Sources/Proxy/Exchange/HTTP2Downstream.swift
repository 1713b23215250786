/// An HTTP/2 connection from a peer or the application: each of its streams is an exchange.
final class HTTP2Downstream: HTTP2Connection {
    let routing: RequestRouting
    private let record: ConnectionRecord
    private var exchanges: [HTTP2Exchange?] = []
    private var spare: [HTTP2Exchange] = []
    private var ending = Ending.none

    /// The way to the end (RFC 9113 section 6.8): first it is announced, and streams that cross the news on their way are
    /// served; then no more are taken.
    private enum Ending {
        case none
        case announced(closesAt: Int64)
        case closed
    }

    init?(_ channel: Channel, _ routing: RequestRouting, _ worker: Worker, record: ConnectionRecord) {
        guard let library = worker.http2,
            let session = HTTP2Session(.server, library, maxHeadBytes: worker.configuration.maxHeaderBytes)
        else { return nil }
        self.routing = routing
        self.record = record
        super.init(worker, channel, session)
    }

    /// Starts with bytes that were read while the protocol was found out.
    func start(early bytes: [UInt8]) {
        channel.user = self
        channel.resumeReading()
        channel.clearDeadline()
        rest()
        scheduleFlush()
        if !bytes.isEmpty { receive(bytes.span) }
        if channel.isEnding { channelDraining(channel) }
        channel.readLater()
    }

    // MARK: streams

    override func happened(_ event: HTTP2Event, _ bytes: Span<UInt8>, _ text: Span<UInt8>) {
        switch event {
        case .head(let slot, let range, let endsStream):
            let exchange = open(slot)
            // A flood of requests that are taken back in the same breath (CVE-2023-44487) ends here.
            guard !session.isClosed(slot) else { return exchange.requestCancelled(text.extracting(range)) }
            exchange.requestCame(text.extracting(range), endsStream: endsStream)
            if worker.isDraining { channelDraining(channel) }  // it came when the end had begun
        case .headTooLarge(let slot, let range):
            open(slot).refuseHead(HTTPError(.headTooLarge), text.extracting(range))
        case .headMalformed(let slot): open(slot).refuseHead(HTTPError(.badRequestLine), text.extracting(0..<0))
        case .trailers(let slot, let range): exchange(slot)?.trailersCame(text.extracting(range))
        case .data(let slot, let range): exchange(slot)?.bodyCame(bytes.extracting(range))
        case .end(let slot): exchange(slot)?.bodyEnded()
        case .closed(let slot, let code):
            session.free(slot)
            guard let exchange = exchange(slot) else { break }
            exchanges[slot] = nil
            lastUse = worker.now
            exchange.streamClosed(code)
            if spare.count < 16 { spare.append(exchange) }
            terminateIfDone()
        case .goAway: break  // streams that run go on
        }
    }

    private func open(_ slot: HTTP2Slot) -> HTTP2Exchange {
        while exchanges.count <= slot { exchanges.append(nil) }
        let exchange = spare.popLast() ?? HTTP2Exchange(self, RequestRecord(connection: record, .http2))
        exchange.begin(slot)
        exchanges[slot] = exchange
        return exchange
    }

    private func exchange(_ slot: HTTP2Slot) -> HTTP2Exchange? { slot < exchanges.count ? exchanges[slot] : nil }

    override func bodyMoved(_ slot: HTTP2Slot) { exchange(slot)?.answerMoved() }

    // MARK: time and end

    override func nextDeadline() -> Int64 {
        if case .announced(let closesAt) = ending { return max(0, closesAt - worker.now) }
        guard session.activeStreams == 0 else { return worker.timeouts.idle / 2 }
        return worker.isDraining ? worker.openingTime : idleDeadline
    }

    override func deadlinePassed() {
        if case .announced(let closesAt) = ending, closesAt <= worker.now {
            ending = .closed
            session.refuseNewStreams()
            return terminateIfDone()
        }
        if worker.isDraining { channelDraining(channel) }
        guard session.activeStreams > 0 else {
            if worker.now - lastUse >= worker.timeouts.idle { session.terminate(HTTP2ErrorCode.none) }
            return
        }
        for case let exchange? in exchanges { exchange.checkProgress() }
    }

    override var connectionRecord: ConnectionRecord? { record }

    override func channelDraining(_ channel: Channel) {
        guard case .none = ending else { return }
        ending = .announced(closesAt: worker.now + Limits.drainGraceMicroseconds)
        session.announceEnd()
        scheduleFlush()
    }

    private func terminateIfDone() {
        if case .closed = ending, session.activeStreams == 0 { session.terminate(HTTP2ErrorCode.none) }
    }

    override func connectionEnded(_ error: ChannelError?) {
        let open = exchanges
        exchanges = []
        spare = []
        for case let exchange? in open { exchange.connectionEnded() }
    }
}
