/// An HTTP/1.1 connection to an upstream: idle in its pool, or carrying one exchange.
final class HTTP1Upstream: ChannelUser {
    let channel: Channel
    private let pool: UpstreamPool
    private let worker: Worker

    private var downstream: HTTP1Downstream?
    private var method = Method.get
    private var requestIsWhole = false
    private var headSeen = false
    private var anyByteSeen = false
    private var keepsAlive = false
    private var chunksAnswer = false
    private var body = BodyDecoder(.none)
    /// Bytes read but not yet understood: an answer's head or a chunk's line that came in pieces.
    private var carry: [UInt8] = []
    private var scanned = 0
    private var isReused = false
    private var isPooled = false
    private var isOver = false
    /// The request as sent, while it may have to be sent again.
    private(set) var replay: [UInt8] = []

    init(_ channel: Channel, _ pool: UpstreamPool, _ worker: Worker) {
        self.channel = channel
        self.pool = pool
        self.worker = worker
        super.init()
        channel.user = self
    }

    // MARK: the request

    /// Sends a request's head with what is there of its body; false when the connection turned out to be dead.
    ///
    /// - Parameter isWhole: nothing of the request follows.
    func begin(_ bytes: Span<UInt8>, _ method: Method, isWhole: Bool, for downstream: HTTP1Downstream) -> Bool {
        isPooled = false
        self.downstream = downstream
        self.method = method
        requestIsWhole = false
        headSeen = false
        anyByteSeen = false
        scanned = 0
        if channel.isOpen { channel.clearDeadline() }  // else it is the connect's
        replay.removeAll(keepingCapacity: true)
        if isReused, isWhole, bytes.count <= Limits.replayBytes {
            unsafe bytes.withUnsafeBufferPointer { unsafe replay.append(contentsOf: $0) }
        }
        guard send(bytes) else { return false }
        if isWhole { finishRequest() }
        return true
    }

    /// Sends more of a request's body; false when the connection is gone.
    func send(_ bytes: Span<UInt8>) -> Bool {
        switch channel.write(bytes) {
        case .sent: return true
        case .queued:
            if channel.queuedBytes >= Limits.queuedBytes { downstream?.requestMustWait() }
            return true
        case .failed: return false
        }
    }

    func finishRequest() {
        requestIsWhole = true
        if channel.isOpen, let timeout = worker.timeouts.response { channel.setDeadline(after: timeout) }
    }

    /// Whether the request may be sent again over another connection: nothing was answered on a connection that may
    /// have died before the request reached it, and sending twice does no harm (RFC 9110 section 9.2.2).
    var mayRetry: Bool {
        isReused && !anyByteSeen && !replay.isEmpty && (method.isIdempotent || !requestIsWhole)
    }

    /// The downstream is gone or wants no answer any more.
    func abandon() {
        downstream = nil
        end()
    }

    // MARK: the answer

    override func channelOpened(_ channel: Channel) {
        worker.counters.opened(channel)
        if let timeout = worker.timeouts.response, requestIsWhole { channel.setDeadline(after: timeout) }
    }

    override func channelDrained(_ channel: Channel) { downstream?.requestMayGoOn() }

    override func channelReadable(_ channel: Channel) {
        var inbox = worker.takeInbox()
        let outcome = channel.read(into: &inbox)
        switch outcome {
        case .bytes(let count):
            guard downstream != nil else {
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
        case .failed(let error): failed(.channel(error))
        }
        worker.giveBack(inbox)
    }

    override func channelFailed(_ channel: Channel, _ error: ChannelError) {
        // An upstream may answer and close without taking the whole request (RFC 9112 section 9.3): what it said before
        // it was gone still counts. Under TLS a failed write has ended the session.
        for _ in 0..<Channel.readsPerTurn where channel.isOpen && !channel.isTLS && downstream != nil {
            channelReadable(channel)
        }
        failed(.channel(error))
    }

    override func channelDeadline(_ channel: Channel) {
        guard downstream != nil else { return end() }
        // A paused upstream waits for the client, not the other way round.
        guard channel.isReading else { return channel.setDeadline(after: worker.timeouts.idle) }
        failed(.tooSlow)
    }

    override func channelDraining(_ channel: Channel) {
        if downstream == nil { end() }
    }

    func resumeReading() { channel.resumeReading() }

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
        var writer = worker.takeWriter()
        var offset = 0
        var finished = false
        var switched = false
        var failure: UpstreamFailure?

        reading: while !finished, offset < bytes.count {
            guard headSeen else {
                switch readHead(bytes, &offset, into: &writer) {
                case .goOn: continue
                case .needsMore: break reading
                case .finished: finished = true
                case .switching:
                    switched = true
                    break reading
                case .failed(let reason):
                    failure = reason
                    break reading
                }
                continue
            }
            switch body.next(bytes, from: offset) {
            case .data(let range):
                offset = range.upperBound
                downstream?.answerBytes += UInt64(range.count)
                relay(bytes.extracting(range), &writer)
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

        if finished, chunksAnswer { writer.appendLastChunk(body.trailers, from: bytes) }
        let isDelivered = writer.count == 0 || deliver(writer.bytes.span)
        worker.giveBack(writer)

        if !isDelivered {
            downstream?.clientFailed()
            return bytes.count
        }
        if let failure {
            failed(failure)
            return bytes.count
        }
        if switched {
            switchProtocol(early: bytes.extracting(offset...))
            return bytes.count
        }
        if finished { answered(isClean: offset == bytes.count) }
        return offset
    }

    private enum HeadStep { case goOn, needsMore, finished, switching, failed(UpstreamFailure) }

    private func readHead(_ bytes: Span<UInt8>, _ offset: inout Int, into writer: inout ByteWriter) -> HeadStep {
        let rest = bytes.extracting(offset...)
        switch worker.responseParser.parse(rest, resumingAt: scanned, for: method) {
        case .needsMore:
            scanned = rest.count
            return .needsMore
        case .failed(let error): return .failed(.nonsense(error))
        case .complete: break
        }
        scanned = 0
        guard let downstream else { return .finished }
        let head = worker.responseParser.head
        offset += head.byteCount
        if head.status == 101 {
            guard downstream.mayUpgrade, requestIsWhole, head.fields.hasUpgrade else {
                return .failed(.nonsense(HTTPError(.badStatusLine)))
            }
            ResponseRewrite.switching.write(head, from: rest, into: &writer)
            return .switching
        }
        if head.status < 200 {
            if downstream.understandsInterim { ResponseRewrite.interim.write(head, from: rest, into: &writer) }
            return .goOn
        }
        headSeen = true
        body = BodyDecoder(head.framing)
        keepsAlive = head.keepsAlive
        channel.setDeadline(after: worker.timeouts.idle)
        let rewrite = downstream.answerBegins(head)
        chunksAnswer = rewrite.chunksBody
        rewrite.write(head, from: rest, into: &writer)
        return body.isFinished ? .finished : .goOn
    }

    private func relay(_ data: Span<UInt8>, _ writer: inout ByteWriter) {
        if chunksAnswer {
            writer.appendChunk(data)
            return
        }
        let room = Limits.recordBytes - writer.count
        if data.count <= room {
            writer.append(data)
            return
        }
        // The first record is filled up; the rest goes out from where it lies.
        if writer.count > 0 {
            writer.append(data.extracting(0..<max(0, room)))
        }
        let sent = writer.count > 0 ? max(0, room) : 0
        if writer.count > 0 {
            let isDelivered = deliver(writer.bytes.span)
            writer.removeAll()
            guard isDelivered else { return }
        }
        _ = deliver(data.extracting(sent...))  // a failure shows at the next write
    }

    private func deliver(_ bytes: Span<UInt8>) -> Bool {
        guard let downstream else { return true }
        switch downstream.sendAnswer(bytes) {
        case .sent: return true
        case .queued:
            if downstream.queuedBytes >= Limits.queuedBytes { channel.pauseReading() }
            return true
        case .failed: return false
        }
    }

    /// Leaves both connections to a relay.
    private func switchProtocol(early bytes: Span<UInt8>) {
        guard let downstream else { return end() }
        self.downstream = nil
        isOver = true
        pool.forgetBusy()
        channel.clearDeadline()
        downstream.switchProtocol(to: channel, early: bytes)
    }

    private func ended() {
        guard downstream != nil else { return end() }
        if headSeen, body.endsAtClose {
            keepsAlive = false
            if chunksAnswer {
                var writer = worker.takeWriter()
                writer.appendLastChunk([], from: carry.span)
                let isDelivered = deliver(writer.bytes.span)
                worker.giveBack(writer)
                guard isDelivered else {
                    downstream?.clientFailed()
                    return
                }
            }
            return answered(isClean: false)
        }
        failed(.closedEarly)
    }

    private func answered(isClean: Bool) {
        guard let downstream else { return end() }
        self.downstream = nil
        if let origination = pool.target.tls, let resumption = channel.resumption() {
            origination.resumption = resumption
        }
        if isClean, keepsAlive, requestIsWhole, channel.isOpen {
            isReused = true
            replay.removeAll(keepingCapacity: true)
            isPooled = true
            channel.resumeReading()
            pool.giveBack(self)
        } else {
            end()
        }
        downstream.answerEnded()
    }

    private func failed(_ failure: UpstreamFailure) {
        guard let downstream else { return end() }
        let retry = mayRetry
        let headWasSeen = headSeen
        self.downstream = nil
        end()
        downstream.upstreamFailed(failure, replay: retry ? replay : nil, answerHadBegun: headWasSeen)
    }

    private func end() {
        guard !isOver else { return }
        isOver = true
        if isPooled { pool.forgetIdle(self) } else { pool.forgetBusy() }
        channel.close()
    }
}
