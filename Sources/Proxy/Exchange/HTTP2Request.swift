import Addressing

/// A stream toward an upstream: the far side of one exchange.
final class HTTP2Request {
    private let connection: HTTP2Upstream
    private var slot: HTTP2Slot?
    private var exchange: Exchange?
    private var requestIsWhole = false
    private var headSeen = false
    private var isPaused = false
    private var mustWait = false
    private var body = BodyFraming.none
    /// When the upstream has had time enough; `.max` for never.
    private(set) var deadline = Int64.max

    private var session: HTTP2Session { connection.session }
    private var worker: Worker { connection.worker }

    init(_ connection: HTTP2Upstream) { self.connection = connection }

    /// An exchange waits for the answer.
    var isWanted: Bool { exchange != nil }
    var isReused: Bool { connection.isReused }
    var remote: Endpoint { connection.channel.remote }

    // MARK: the request

    func begin(
        _ head: borrowing RequestHead, _ bytes: Span<UInt8>, _ rewrite: borrowing RequestRewrite, _ requestID: [UInt8],
        isWhole: Bool, for exchange: Exchange
    ) {
        self.exchange = exchange
        requestIsWhole = isWhole
        headSeen = false
        isPaused = false
        mustWait = false
        deadline = .max
        worker.block.removeAll()
        rewrite.write(head, from: bytes, requestID: requestID, scheme: connection.scheme, into: worker.block)
        slot = session.request(worker.block, endsStream: isWhole)
        guard let slot else { return }
        connection.lastUse = worker.now
        if isWhole { awaitAnswer() }
        connection.opened(self, as: slot)
    }

    func send(_ payload: Span<UInt8>) {
        guard let slot else { return }
        session.send(slot, payload)
    }

    func end(_ trailers: [FieldLine], from bytes: Span<UInt8>) {
        requestIsWhole = true
        guard let slot else { return }
        session.end(slot, trailers: trailers.isEmpty ? nil : Trailers.block(trailers, from: bytes))
        awaitAnswer()
    }

    func flush() -> Bool {
        guard let slot, !connection.isOver else { return false }
        connection.scheduleFlush()
        // Only now: what is large has gone out as far as the server takes it.
        if !mustWait, session.queuedBytes(slot) >= Limits.queuedBytes {
            mustWait = true
            exchange?.requestMustWait()
        }
        return true
    }

    func bodyMoved() {
        guard mustWait, let slot, session.queuedBytes(slot) < Limits.queuedBytes / 2 else { return }
        mustWait = false
        exchange?.requestMayGoOn()
    }

    /// The exchange wants no answer any more.
    func abandon() {
        exchange = nil
        guard let slot else { return }
        session.reset(slot, HTTP2ErrorCode.cancel)
        connection.scheduleFlush()
    }

    private func awaitAnswer() {
        if let timeout = worker.timeouts.response { deadline = worker.now + timeout }
    }

    // MARK: the answer

    func pauseAnswer() { isPaused = true }

    func resumeAnswer() {
        guard isPaused else { return }
        isPaused = false
        if let slot { session.consumeAll(slot) }
        connection.scheduleFlush()
    }

    func headCame(_ text: Span<UInt8>, endsStream: Bool) {
        guard let exchange else { return }
        guard !headSeen, case .complete = worker.responseParser.parse(text, resumingAt: 0, for: exchange.method) else {
            return headIsBad()
        }
        let status = worker.responseParser.head.status
        if status < 200 {
            guard status != 101, !endsStream else { return headIsBad() }
            guard exchange.interimAnswerCame(worker.responseParser.head, from: text) else {
                return fail(.nonsense(HTTPError(.tooManyInterim)), repeat: .never)
            }
            return deliver(exchange)
        }
        headSeen = true
        touch()
        worker.responseParser.reframe(endsWithHead: endsStream)
        exchange.answerBegins(worker.responseParser.head, from: text)
        if endsStream { return finish(exchange) }
        deliver(exchange)
    }

    func headIsBad() {
        fail(.nonsense(HTTPError(.badStatusLine)), repeat: .never)
    }

    func bodyCame(_ payload: Span<UInt8>) {
        guard let slot else { return }
        guard let exchange, headSeen else { return session.consumeAll(slot) }
        touch()
        exchange.answerContinues(payload)
        deliver(exchange)
        if !isPaused { session.consumeAll(slot) }
    }

    func bodyEnded() {
        guard let exchange, headSeen else { return }
        finish(exchange)
    }

    func trailersCame(_ text: Span<UInt8>) {
        guard let exchange, headSeen else { return headIsBad() }
        exchange.answerEnds(Trailers.read(text), from: text)
        complete(exchange)
    }

    private func finish(_ exchange: Exchange) {
        let none: [UInt8] = []
        exchange.answerEnds([], from: none.span)
        complete(exchange)
    }

    private func complete(_ exchange: Exchange) {
        guard exchange.flushAnswer() else { return exchange.downstreamFailed() }
        // What is left of the body is not waited for: the upstream may never open its window for it.
        if let slot, !requestIsWhole || session.queuedBytes(slot) > 0 {
            session.reset(slot, HTTP2ErrorCode.none)
            connection.scheduleFlush()
        }
        // Last, since the exchange may begin its next request in it.
        exchange.answerIsWhole()
        if self.exchange === exchange { self.exchange = nil }
    }

    private func deliver(_ exchange: Exchange) {
        if !exchange.flushAnswer() { exchange.downstreamFailed() }
    }

    private func touch() { deadline = worker.now + worker.timeouts.idle }

    // MARK: failures

    func timedOut() {
        // A paused upstream waits for the client, not the other way round.
        guard !isPaused else { return touch() }
        fail(.tooSlow, repeat: .never)
    }

    private func fail(_ failure: UpstreamFailure, repeat repetition: Exchange.Repetition) {
        guard let exchange else { return }
        self.exchange = nil
        if let slot {
            session.reset(slot, HTTP2ErrorCode.cancel)
            connection.scheduleFlush()
        }
        exchange.upstreamFailed(failure, repeat: repetition)
    }

    func streamClosed(_ code: UInt32) {
        slot = nil
        guard let exchange else { return }
        self.exchange = nil
        // REFUSED_STREAM promises that nothing was done (RFC 9113 section 8.7); so does a GOAWAY that leaves a stream out.
        exchange.upstreamFailed(.reset(code: code), repeat: code == HTTP2ErrorCode.refusedStream ? .always : .never)
    }

    func connectionEnded(_ error: ChannelError?) {
        slot = nil
        guard let exchange else { return }
        self.exchange = nil
        let repetition: Exchange.Repetition = headSeen ? .never : connection.isReused ? .ifIdempotent : .never
        exchange.upstreamFailed(error.map(UpstreamFailure.channel) ?? .closedEarly, repeat: repetition)
    }
}
