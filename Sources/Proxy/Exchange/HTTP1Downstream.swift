/// An HTTP/1.1 connection from a peer or the application: takes requests one after the other and has each answered.
final class HTTP1Downstream: Exchange {
    private enum Phase {
        /// Between requests, or in the middle of a head.
        case awaitingRequest
        case exchanging
        /// The last answer is out; nothing more is read as a request.
        case closing
    }

    private let channel: Channel
    private var phase = Phase.awaitingRequest

    /// Bytes read but not yet understood: a head or a chunk's line that came in pieces, or the next request.
    private var carry: [UInt8] = []
    private var scanned = 0
    private var body = BodyDecoder(.none)

    /// HTTP/1.0 clients know neither interim answers nor chunks.
    private var minorVersion: UInt8 = 1
    /// Another request may follow on this connection.
    private var keepsAlive = true
    private var chunksAnswer = false
    /// The answer's bytes of this turn: head and body go out together, up to a TLS record.
    private var outbox: ByteWriter?
    private var isBroken = false

    init(_ channel: Channel, _ routing: RequestRouting, _ worker: Worker, record: ConnectionRecord) {
        self.channel = channel
        super.init(worker, routing, record: RequestRecord(connection: record))
    }

    /// Starts with bytes that were read while the protocol was found out.
    func start(early bytes: [UInt8]) {
        channel.user = self
        channel.resumeReading()
        carry = bytes
        if bytes.isEmpty {
            channel.setDeadline(after: worker.openingTime)
        } else {
            channel.setDeadline(after: worker.headTime)
            channel.readLater()
        }
    }

    /// No other request is to begin after the next answer.
    private var isEnding: Bool { worker.isDraining || channel.isEnding }

    // MARK: reading

    override func channelReadable(_ channel: Channel) {
        if phase == .awaitingRequest, !carry.isEmpty, scanned == 0 { consumeCarry() }
        guard channel.isOpen, channel.isReading, phase != .closing else { return }
        var inbox = worker.takeInbox()
        switch channel.read(into: &inbox) {
        case .bytes(let count):
            if carry.isEmpty {
                let bytes = inbox.span.extracting(0..<count)
                let used = consume(bytes)
                if used < count, phase != .closing { keep(bytes.extracting(used...)) }
            } else {
                carry.append(contentsOf: inbox[0..<count])
                consumeCarry()
            }
        case .wouldBlock: break
        case .end: ended()
        case .failed: downstreamFailed()
        }
        worker.giveBack(inbox)
    }

    private func keep(_ bytes: Span<UInt8>) {
        unsafe bytes.withUnsafeBufferPointer { unsafe carry.append(contentsOf: $0) }
    }

    private func consumeCarry() {
        var bytes: [UInt8] = []
        swap(&bytes, &carry)
        let used = consume(bytes.span)
        guard used < bytes.count, phase != .closing else { return }
        bytes.removeFirst(used)
        carry = bytes
    }

    /// Works through the peer's bytes; answers how many it is done with.
    private func consume(_ bytes: Span<UInt8>) -> Int {
        var offset = 0
        while offset < bytes.count {
            switch phase {
            case .awaitingRequest:
                guard channel.isReading else { return offset }  // the client has not taken the answers so far
                guard let next = readHead(bytes, offset) else { return phase == .closing ? bytes.count : offset }
                offset = next
            case .exchanging:
                guard !requestIsWhole else {
                    channel.pauseReading()  // the next request waits for this answer
                    return offset
                }
                guard let next = readBody(bytes, offset) else { return bytes.count }
                flushRequest()
                offset = next
                // What is left is the beginning of a chunk's line or the next request: more bytes decide.
                if phase == .exchanging, !requestIsWhole { return offset }
            case .closing: return bytes.count
            }
        }
        return offset
    }

    /// Reads a head and sends the request on, with what is there of its body; nil when the head is not complete, or the
    /// connection ends here.
    private func readHead(_ bytes: Span<UInt8>, _ offset: Int) -> Int? {
        let rest = bytes.extracting(offset...)
        switch worker.requestParser.parse(rest, resumingAt: scanned) {
        case .needsMore:
            if scanned == 0 { channel.setDeadline(after: worker.headTime) }
            scanned = rest.count
            return nil
        case .failed(let error):
            answerMalformed(error.status, error.sentence, flag: "DPE", rest)
            return nil
        case .complete:
            scanned = 0
            return begin(worker.requestParser.head, bytes, rest, offset)
        }
    }

    private func begin(_ head: RequestHead, _ bytes: Span<UInt8>, _ rest: Span<UInt8>, _ offset: Int) -> Int? {
        phase = .exchanging
        channel.clearDeadline()
        minorVersion = head.minorVersion
        // What a client sends behind a CONNECT that fails is no request.
        keepsAlive = head.keepsAlive && !isEnding && head.method != .connect
        body = BodyDecoder(head.framing)
        guard beginRequest(head, in: rest, isWhole: body.isFinished) else {
            // Answered already, with an error; the head is consumed all the same.
            return phase == .closing ? nil : offset + head.byteCount
        }
        guard let next = readBody(bytes, offset + head.byteCount) else { return nil }
        if !requestIsWhole { channel.setDeadline(after: worker.timeouts.idle) }
        flushRequest()
        return phase == .closing ? nil : next
    }

    /// Sends on what is there of a request's body; nil when it is malformed.
    private func readBody(_ bytes: Span<UInt8>, _ start: Int) -> Int? {
        var offset = start
        while !requestIsWhole {
            switch body.next(bytes, from: offset) {
            case .data(let range):
                sendBody(bytes.extracting(range))
                offset = range.upperBound
                if body.isFinished { endRequest([], from: bytes) }
            case .needsMore(let consumed):
                channel.setDeadline(after: worker.timeouts.idle)
                return consumed
            case .end(let consumed):
                endRequest(body.trailers, from: bytes)
                offset = consumed
            case .failed(let error):
                keepsAlive = false
                refuse(error.status, error.sentence, flag: "DPE")
                return nil
            }
        }
        // What is left to wait for is the answer; unless it is out already.
        if phase == .exchanging, channel.queuedBytes == 0 { channel.clearDeadline() }
        return offset
    }

    private func ended() {
        switch phase {
        case .awaitingRequest:
            if carry.isEmpty { return closeGently() }
            answerCarry(400, "the connection ended in the middle of a request", flag: "DPE")
        case .exchanging:
            guard requestIsWhole else { return downstreamFailed() }
            // A client that has sent its last request may close its side and still wait for the answer.
            keepsAlive = false
            channel.pauseReading()
        case .closing: channel.close()
        }
    }

    override func requestMustWait() { channel.pauseReading() }

    override func requestMayGoOn() {
        if phase == .exchanging, !requestIsWhole { channel.resumeReading() }
    }

    // MARK: writing answers

    /// Answers bytes that are no request, and closes: what follows on the connection cannot be trusted or waited for.
    ///
    /// - Parameter bytes: what there is of the head.
    private func answerMalformed(
        _ status: UInt16, _ reason: StaticString, flag: StaticString, _ bytes: Span<UInt8>
    ) {
        keepsAlive = false
        phase = .exchanging
        refuseMalformed(status, reason, flag: flag, line: worker.requestParser.line(of: bytes), in: bytes)
    }

    /// The same, for a head of which no more comes.
    private func answerCarry(_ status: UInt16, _ reason: StaticString, flag: StaticString) {
        var bytes: [UInt8] = []
        swap(&bytes, &carry)
        answerMalformed(status, reason, flag: flag, bytes.span)
    }

    /// To be put back: who takes it from its place and puts it there again spares two reference counts.
    private func takeOutbox() -> ByteWriter { outbox.take() ?? worker.takeWriter() }

    private func openOutbox() -> ByteWriter {
        let writer = takeOutbox()
        outbox = writer
        return writer
    }

    override func writeHead(_ head: borrowing ResponseHead, from bytes: Span<UInt8>) {
        let rewrite = ResponseRewrite(
            for: head, minorVersion: minorVersion, closes: !keepsAlive || isEnding || !requestIsWhole)
        keepsAlive = !rewrite.closesDownstream
        chunksAnswer = rewrite.chunksBody
        let writer = takeOutbox()
        rewrite.write(head, from: bytes, into: writer)
        outbox = writer
    }

    override func writeInterim(_ head: borrowing ResponseHead, from bytes: Span<UInt8>) {
        // HTTP/1.0 clients do not know interim answers (RFC 9110 section 15.2).
        guard minorVersion >= 1 else { return }
        ResponseRewrite.interim.write(head, from: bytes, into: openOutbox())
    }

    override func writeBody(_ payload: Span<UInt8>) {
        if chunksAnswer { return openOutbox().appendChunk(payload) }
        guard let outbox else { return deliver(payload) }
        // The first record is filled up; the rest goes out from where it lies.
        let room = min(payload.count, max(0, Limits.recordBytes - outbox.count))
        outbox.append(payload.extracting(0..<room))
        guard room < payload.count else { return }
        deliverOutbox()
        deliver(payload.extracting(room...))
    }

    override func writeEnd(_ trailers: [FieldLine], from bytes: Span<UInt8>) {
        guard chunksAnswer else { return }
        openOutbox().appendLastChunk(trailers, from: bytes)
    }

    override func writeError(_ status: UInt16, _ reason: StaticString) -> Int {
        keepsAlive = keepsAlive && requestIsWhole && !isEnding
        openOutbox().appendErrorResponse(
            status: status, reason, close: !keepsAlive, headRequest: method == .head)
        return method == .head ? 0 : reason.utf8CodeUnitCount + 1
    }

    override func flushAnswer() -> Bool {
        deliverOutbox()
        return !isBroken
    }

    private func deliverOutbox() {
        guard let writer = outbox.take() else { return }
        writer.withSpan { deliver($0) }
        worker.giveBack(writer)
    }

    private func deliver(_ bytes: Span<UInt8>) {
        guard !bytes.isEmpty else { return }
        switch channel.write(bytes) {
        case .sent: break
        case .queued:
            channel.setDeadline(after: worker.timeouts.idle)
            if channel.queuedBytes >= Limits.queuedBytes { pauseAnswer() }
        case .failed: isBroken = true
        }
    }

    override func cutAnswer(_ failure: UpstreamFailure) {
        phase = .closing
        channel.abort()
    }

    override func downstreamFailed() {
        if phase == .exchanging {
            record.flags = "DC"
            finishRecord(.failed)
        }
        phase = .closing
        leaveUpstream()
        channel.abort()
    }

    override func switchProtocol(
        _ head: borrowing ResponseHead, from bytes: Span<UInt8>, to server: Channel, early rest: Span<UInt8>
    ) {
        ResponseRewrite.switching.write(head, from: bytes, into: openOutbox())
        guard let early = leave(101) else { return server.abort() }
        var tunnel = record.connection
        tunnel.startedAt = worker.now
        tunnel.plaintextPort = nil  // counted as a request already
        tunnel.upstream = server.remote
        let relay = Relay(worker, client: channel, server: server, record: tunnel)
        relay.start(early: early, fromServer: unsafe rest.withUnsafeBufferPointer { unsafe Array($0) })
    }

    override func tunnelStands(_ tunnel: Tunnel) {
        openOutbox().append("HTTP/1.1 200 Connection established\r\n\r\n")
        guard let early = leave(200) else { return tunnel.abandon() }
        tunnel.begin(early: early)
    }

    /// Sends the last answer and gives up the connection; returns what the client has sent beyond its request.
    private func leave(_ status: UInt16) -> [UInt8]? {
        record.status = status
        finishRecord(.tunnelled)
        tunnelBegins()
        phase = .closing
        guard flushAnswer() else {
            channel.abort()
            return nil
        }
        defer { carry = [] }
        return carry
    }

    // MARK: between requests

    override func answerEnded() {
        guard keepsAlive, requestIsWhole else { return closeGently() }
        phase = .awaitingRequest
        channel.setDeadline(after: isEnding ? Limits.drainGraceMicroseconds : worker.timeouts.idle)
        // Small answers to requests without end would pile up: the next one waits until these have gone out.
        guard channel.queuedBytes < Limits.queuedBytes else { return channel.pauseReading() }
        goOnReading()
    }

    private func goOnReading() {
        if !carry.isEmpty { channel.readLater() }
        channel.resumeReading()
    }

    private func closeGently() {
        phase = .closing
        leaveUpstream()
        carry = []
        LingeringClose.start(on: channel, worker)
    }

    // MARK: other events

    override func channelDrained(_ channel: Channel) {
        switch phase {
        case .awaitingRequest:
            guard !channel.isReading else { return }
            channel.setDeadline(after: worker.timeouts.idle)
            goOnReading()
        case .exchanging:
            if requestIsWhole { channel.clearDeadline() } else { channel.setDeadline(after: worker.timeouts.idle) }
            resumeAnswer()
        case .closing: break
        }
    }

    override func channelFailed(_ channel: Channel, _ error: ChannelError) { downstreamFailed() }
    override func channelReset(_ channel: Channel) { downstreamFailed() }

    override func channelDeadline(_ channel: Channel) {
        switch phase {
        case .awaitingRequest:
            guard channel.isReading else { return downstreamFailed() }
            guard !carry.isEmpty || scanned > 0 else { return closeGently() }
            answerCarry(408, "the request's head took too long", flag: "DT")
        case .exchanging:
            // With unsent bytes it is the client's reader that has stopped.
            guard !requestIsWhole, channel.queuedBytes == 0 else { return downstreamFailed() }
            keepsAlive = false
            refuse(408, "the request's body took too long", flag: "DT")
        case .closing: channel.abort()
        }
    }

    override var kind: StaticString { "http/1.1" }
    override var connectionRecord: ConnectionRecord? { record.connection }

    override func channelDraining(_ channel: Channel) {
        // An answer that has promised to keep the connection is followed by one that does not.
        guard phase == .awaitingRequest else { return }
        guard carry.isEmpty else {
            // Half a head, or requests that wait for earlier answers to be taken.
            if channel.isReading { channel.hurry(within: Limits.drainOpeningMicroseconds) }
            return
        }
        guard channel.isReading else { return closeGently() }
        channel.setDeadline(after: Limits.drainGraceMicroseconds)
    }
}
