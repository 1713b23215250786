/// An HTTP/1.1 connection to an upstream: idle in its pool, or carrying one exchange.
final class HTTP1Upstream: ChannelUser {
    let channel: Channel
    private let pool: UpstreamPool
    private let worker: Worker

    private var exchange: Exchange?
    private var requestIsWhole = false
    private var chunksRequest = false
    /// The request's bytes of this turn: head and body go out together.
    private var outbox: ByteWriter?
    private var isDeaf = false
    private var headSeen = false
    private var anyByteSeen = false
    private var keepsAlive = false
    private var body = BodyDecoder(.none)
    /// Bytes read but not yet understood: an answer's head or a chunk's line that came in pieces.
    private var carry: [UInt8] = []
    private var scanned = 0
    private(set) var isReused = false
    private var isPooled = false
    private var isOver = false

    init(_ channel: Channel, _ pool: UpstreamPool, _ worker: Worker) {
        self.channel = channel
        self.pool = pool
        self.worker = worker
        super.init()
        channel.user = self
    }

    // MARK: the request

    func begin(
        _ head: borrowing RequestHead, _ bytes: Span<UInt8>, _ rewrite: borrowing RequestRewrite, _ requestID: [UInt8],
        isWhole: Bool, for exchange: Exchange
    ) {
        isPooled = false
        self.exchange = exchange
        requestIsWhole = isWhole
        chunksRequest = head.framing == .chunked
        headSeen = false
        anyByteSeen = false
        isDeaf = false
        scanned = 0
        if channel.isOpen { channel.clearDeadline() }  // else it is the connect's
        let writer = takeOutbox()
        rewrite.write(head, from: bytes, requestID: requestID, into: writer)
        outbox = writer
    }

    func send(_ payload: Span<UInt8>) {
        if chunksRequest {
            openOutbox().appendChunk(payload)
        } else if let outbox {
            outbox.append(payload)
        } else {
            transmit(payload)  // a body with a length goes on from where it lies
        }
    }

    func end(_ trailers: [FieldLine], from bytes: Span<UInt8>) {
        requestIsWhole = true
        guard chunksRequest else { return }
        openOutbox().appendLastChunk(trailers, from: bytes)
    }

    func flush() -> Bool {
        if let writer = outbox.take() {
            writer.withSpan { transmit($0) }
            worker.giveBack(writer)
        }
        guard !isDeaf else { return false }
        if requestIsWhole, !headSeen, channel.isOpen, let timeout = worker.timeouts.response {
            channel.setDeadline(after: timeout)
        }
        return true
    }

    private func transmit(_ bytes: Span<UInt8>) {
        guard !isDeaf else { return }
        switch channel.write(bytes) {
        case .sent: break
        case .queued: if channel.queuedBytes >= Limits.queuedBytes { exchange?.requestMustWait() }
        case .failed: isDeaf = true
        }
    }

    /// To be put back: who takes it from its place and puts it there again spares two reference counts.
    private func takeOutbox() -> ByteWriter { outbox.take() ?? worker.takeWriter() }

    private func openOutbox() -> ByteWriter {
        let writer = takeOutbox()
        outbox = writer
        return writer
    }

    /// The exchange is over, or wants no answer any more.
    func abandon() {
        exchange = nil
        end()
    }

    /// A connection that has not been used yet goes to its pool.
    func rest() {
        isPooled = true
        pool.giveBack(self)
    }

    // MARK: the answer

    override func channelOpened(_ channel: Channel) {
        worker.upstreamOpened(channel)
        if let timeout = worker.timeouts.response, requestIsWhole { channel.setDeadline(after: timeout) }
    }

    override func channelDrained(_ channel: Channel) { exchange?.requestMayGoOn() }

    override func channelReadable(_ channel: Channel) {
        var inbox = worker.takeInbox()
        let outcome = channel.read(into: &inbox)
        switch outcome {
        case .bytes(let count):
            guard exchange != nil else {
                end()  // an upstream that speaks unasked is not to be trusted with the next request
                break
            }
            anyByteSeen = true
            if headSeen { channel.setDeadline(after: worker.timeouts.idle) }
            if carry.isEmpty {
                let bytes = inbox.span.extracting(0..<count)
                let used = consume(bytes)
                if used < count, !isOver {
                    unsafe bytes.extracting(used...).withUnsafeBufferPointer { unsafe carry.append(contentsOf: $0) }
                }
            } else {
                carry.append(contentsOf: inbox[0..<count])
                consumeCarry()
            }
        case .wouldBlock: break
        case .end: ended()
        case .failed(let error):
            worker.upstreamFailed(channel, error)
            failed(.channel(error))
        }
        worker.giveBack(inbox)
    }

    override func channelFailed(_ channel: Channel, _ error: ChannelError) {
        // An upstream may answer and close without taking the whole request (RFC 9112 section 9.3): what it said before
        // it was gone still counts. Under TLS a failed write has ended the session.
        for _ in 0..<Channel.readsPerTurn where channel.isOpen && !channel.isTLS && exchange != nil {
            channelReadable(channel)
        }
        if exchange != nil { worker.upstreamFailed(channel, error) }
        failed(.channel(error))
    }

    override func channelDeadline(_ channel: Channel) {
        guard exchange != nil else { return end() }
        // A paused upstream waits for the client, not the other way round.
        guard channel.isReading else { return channel.setDeadline(after: worker.timeouts.idle) }
        failed(.tooSlow)
    }

    override var kind: StaticString { isPooled ? "http/1.1 idle" : "http/1.1" }

    override func channelDraining(_ channel: Channel) {
        if exchange == nil { end() }
    }

    private func consumeCarry() {
        var bytes: [UInt8] = []
        swap(&bytes, &carry)
        let used = consume(bytes.span)
        guard used < bytes.count, !isOver else { return }
        bytes.removeFirst(used)
        carry = bytes
    }

    /// Works through the upstream's bytes; answers how many it is done with.
    private func consume(_ bytes: Span<UInt8>) -> Int {
        guard let exchange else { return bytes.count }
        var offset = 0
        var finished = false
        var failure: UpstreamFailure?

        reading: while !finished, offset < bytes.count {
            guard headSeen else {
                switch readHead(bytes, &offset, exchange) {
                case .goOn: continue
                case .needsMore: break reading
                case .finished: finished = true
                case .taken: return bytes.count
                case .failed(let reason):
                    failure = reason
                    break reading
                }
                continue
            }
            switch body.next(bytes, from: offset) {
            case .data(let range):
                offset = range.upperBound
                exchange.answerContinues(bytes.extracting(range))
                finished = body.isFinished
            case .needsMore(let consumed):
                offset = consumed
                break reading
            case .end(let consumed):
                offset = consumed
                finished = true
            case .failed(let error):
                failure = .nonsense(error)
                break reading
            }
        }

        if finished { exchange.answerEnds(body.trailers, from: bytes) }
        guard exchange.flushAnswer() else {
            exchange.downstreamFailed()
            return bytes.count
        }
        if let failure {
            failed(failure)
            return bytes.count
        }
        if finished { answered(isClean: offset == bytes.count) }
        return offset
    }

    private enum HeadStep { case goOn, needsMore, finished, taken, failed(UpstreamFailure) }

    private func readHead(_ bytes: Span<UInt8>, _ offset: inout Int, _ exchange: Exchange) -> HeadStep {
        let rest = bytes.extracting(offset...)
        switch worker.responseParser.parse(rest, resumingAt: scanned, for: exchange.method) {
        case .needsMore:
            scanned = rest.count
            return .needsMore
        case .failed(let error): return .failed(.nonsense(error))
        case .complete: break
        }
        scanned = 0
        let head = worker.responseParser.head
        offset += head.byteCount
        if head.status == 101 {
            guard exchange.mayUpgrade, requestIsWhole, head.fields.hasUpgrade else {
                return .failed(.nonsense(HTTPError(.badStatusLine)))
            }
            return switchProtocol(head, rest, exchange)
        }
        if head.status < 200 {
            return exchange.interimAnswerCame(head, from: rest) ? .goOn : .failed(.nonsense(HTTPError(.tooManyInterim)))
        }
        headSeen = true
        body = BodyDecoder(head.framing)
        keepsAlive = head.keepsAlive
        channel.setDeadline(after: worker.timeouts.idle)
        exchange.answerBegins(head, from: rest)
        return body.isFinished ? .finished : .goOn
    }

    /// Leaves the channel to the exchange.
    private func switchProtocol(_ head: ResponseHead, _ rest: Span<UInt8>, _ exchange: Exchange) -> HeadStep {
        channel.clearDeadline()
        let early = rest.extracting(head.byteCount...)
        self.exchange = nil
        isOver = true
        pool.forgetBusy()
        exchange.switchProtocol(head, from: rest, to: channel, early: early)
        return .taken
    }

    private func ended() {
        guard let exchange else { return end() }
        if headSeen, body.endsAtClose {
            keepsAlive = false
            let rest = carry
            exchange.answerEnds([], from: rest.span)
            guard exchange.flushAnswer() else { return exchange.downstreamFailed() }
            return answered(isClean: false)
        }
        failed(.closedEarly)
    }

    private func answered(isClean: Bool) {
        guard let exchange else { return end() }
        self.exchange = nil
        pool.target.tls?.remember(channel)
        if isClean, keepsAlive, requestIsWhole, channel.isOpen {
            isReused = true
            isPooled = true
            channel.resumeReading()
            pool.giveBack(self)
        } else {
            end()
        }
        exchange.answerIsWhole()
    }

    private func failed(_ failure: UpstreamFailure) {
        guard let exchange else { return end() }
        self.exchange = nil
        // One that was only slow may be at work on the request.
        var mayRepeat = isReused && !anyByteSeen
        if case .tooSlow = failure { mayRepeat = false }
        end()
        exchange.upstreamFailed(failure, repeat: mayRepeat ? .ifIdempotent : .never)
    }

    private func end() {
        guard !isOver else { return }
        isOver = true
        if let writer = outbox.take() { worker.giveBack(writer) }
        if isPooled { pool.forgetIdle(self) } else { pool.forgetBusy() }
        channel.close()
    }
}
