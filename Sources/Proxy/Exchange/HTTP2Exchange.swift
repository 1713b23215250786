import Addressing

/// A stream of an HTTP/2 connection: one request and its answer, or a tunnel (RFC 9113 section 8.1, RFC 8441).
final class HTTP2Exchange: Exchange {
    private let connection: HTTP2Downstream
    private var slot: HTTP2Slot = 0
    /// The stream is there: what is sent on it may arrive.
    private var isOpen = false
    private var mustWait = false
    private var isAnswered = false
    private var isAnswerPaused = false
    private var lastProgress: Int64 = 0
    private var tunnel: HTTP2Tunnel?
    /// Bytes of a tunnel that does not stand yet. The stream's window bounds them.
    private var early: ByteWriter?
    private var clientHasEnded = false

    private var session: HTTP2Session { connection.session }

    init(_ connection: HTTP2Downstream, _ record: RequestRecord) {
        self.connection = connection
        super.init(connection.worker, connection.routing, record: record)
    }

    func begin(_ slot: HTTP2Slot) {
        self.slot = slot
        isOpen = true
        mustWait = false
        isAnswered = false
        isAnswerPaused = false
        tunnel = nil
        clientHasEnded = false
        lastProgress = worker.now
        connection.lastUse = worker.now
    }

    // MARK: the request

    func requestCame(_ head: Span<UInt8>, endsStream: Bool) {
        switch worker.requestParser.parse(head, resumingAt: 0) {
        case .complete: break
        case .needsMore: return refuseHead(HTTPError(.badRequestLine), head)
        case .failed(let error): return refuseHead(error, head)
        }
        worker.requestParser.reframe(endsWithHead: endsStream)
        clientHasEnded = endsStream
        let request = worker.requestParser.head
        // A tunnel's bytes are no body: they wait until it stands.
        if request.hasUpgrade { mustWait = true }
        guard beginRequest(request, in: head, isWhole: endsStream || request.hasUpgrade) else { return }
        flushRequest()
    }

    /// The client took the request back before it was looked at.
    func requestCancelled(_ head: Span<UInt8>) {
        isOpen = false
        guard case .complete = worker.requestParser.parse(head, resumingAt: 0) else { return }
        noteCancelled(worker.requestParser.head, in: head)
    }

    /// - Parameter head: what there is of it, in HTTP/1.1's form.
    func refuseHead(_ error: HTTPError, _ head: Span<UInt8>) {
        let line = worker.requestParser.line(of: head)
        refuseMalformed(error.status, error.sentence, flag: "DPE", line: line, in: head)
    }

    func bodyCame(_ payload: Span<UInt8>) {
        lastProgress = worker.now
        if let tunnel { return tunnel.send(payload) }
        guard isOpen, !isAnswered else {
            session.consumeAll(slot)
            return connection.scheduleFlush()
        }
        if mayUpgrade {
            if early == nil { early = ByteWriter() }
            early?.append(payload)
            return
        }
        sendBody(payload)
        flushRequest()
        if !mustWait { session.consumeAll(slot) }
    }

    func bodyEnded() {
        clientHasEnded = true
        if let tunnel { return tunnel.streamEnded() }
        guard isOpen, !isAnswered, !requestIsWhole else { return }
        let none: [UInt8] = []
        endRequest([], from: none.span)
        flushRequest()
    }

    func trailersCame(_ text: Span<UInt8>) {
        clientHasEnded = true
        if let tunnel { return tunnel.streamEnded() }
        guard isOpen, !isAnswered, !requestIsWhole else { return }
        endRequest(Trailers.read(text), from: text)
        flushRequest()
    }

    override func requestMustWait() { mustWait = true }

    override func requestMayGoOn() {
        mustWait = false
        guard isOpen else { return }
        session.consumeAll(slot)
        connection.scheduleFlush()
    }

    // MARK: the answer

    override func writeHead(_ head: borrowing ResponseHead, from bytes: Span<UInt8>) {
        guard isOpen else { return }
        worker.block.removeAll()
        ResponseRewrite.write(head, from: bytes, into: worker.block)
        isAnswered = head.framing == .none
        session.answer(slot, worker.block, endsStream: isAnswered)
    }

    override func writeInterim(_ head: borrowing ResponseHead, from bytes: Span<UInt8>) {
        guard isOpen else { return }
        worker.block.removeAll()
        ResponseRewrite.write(head, from: bytes, into: worker.block)
        session.answerInterim(slot, worker.block)
    }

    override func writeBody(_ payload: Span<UInt8>) {
        guard isOpen else { return }
        session.send(slot, payload)
    }

    override func writeEnd(_ trailers: [FieldLine], from bytes: Span<UInt8>) {
        guard isOpen else { return }
        session.end(slot, trailers: trailers.isEmpty ? nil : Trailers.block(trailers, from: bytes))
    }

    override func flushAnswer() -> Bool {
        connection.scheduleFlush()
        guard isOpen else { return false }
        // Only now: what is large has gone out as far as the client takes it.
        if !isAnswerPaused, session.queuedBytes(slot) >= Limits.queuedBytes {
            isAnswerPaused = true
            pauseAnswer()
        }
        return true
    }

    override func answerEnded() {
        isAnswered = true
        guard isOpen else { return }
        session.consumeAll(slot)
        // A tunnel that was refused is a stream that its client would leave open.
        if !requestIsWhole || mayUpgrade && !clientHasEnded { session.stopPeerAfterEnd(slot) }
    }

    override func writeError(_ status: UInt16, _ reason: StaticString) -> Int {
        guard isOpen else { return 0 }
        worker.block.removeAll()
        if isGRPC {
            worker.block.append(":status", number: 200)
            worker.block.append("content-type", "application/grpc")
            worker.block.append("grpc-status", number: GRPCStatus.of(status))
            worker.block.append("grpc-message", reason)
            session.answer(slot, worker.block, endsStream: true)
            return 0
        }
        worker.block.append(":status", number: UInt64(status))
        worker.block.append("content-type", "text/plain; charset=utf-8")
        worker.block.append("content-length", number: UInt64(reason.utf8CodeUnitCount + 1))
        let hasBody = method != .head
        session.answer(slot, worker.block, endsStream: !hasBody)
        guard hasBody else { return 0 }
        let text = ByteWriter()
        text.append(reason)
        text.append(0x0a)
        text.withSpan { session.send(slot, $0) }
        session.end(slot, trailers: nil)
        return text.count
    }

    override func cutAnswer(_ failure: UpstreamFailure) {
        guard isOpen else { return }
        isAnswered = true
        session.reset(slot, failure.resetCode)
        connection.scheduleFlush()
    }

    override func downstreamFailed() {
        record.flags = "DC"
        finishRecord(.failed)
        leaveUpstream()
        guard isOpen else { return }
        isAnswered = true
        session.reset(slot, HTTP2ErrorCode.internalError)
        connection.scheduleFlush()
    }

    /// Some of the answer has gone out.
    func answerMoved() {
        lastProgress = worker.now
        if let tunnel { return tunnel.streamMoved() }
        guard isAnswerPaused, session.queuedBytes(slot) < Limits.queuedBytes / 2 else { return }
        isAnswerPaused = false
        resumeAnswer()
    }

    // MARK: a tunnel

    override func switchProtocol(
        _ head: borrowing ResponseHead, from bytes: Span<UInt8>, to server: Channel, early rest: Span<UInt8>
    ) {
        guard isOpen else { return server.abort() }
        record.status = 200
        finishRecord(.tunnelled)
        tunnelBegins()
        worker.block.removeAll()
        ResponseRewrite.writeTunnel(head, from: bytes, into: worker.block)
        session.answer(slot, worker.block, endsStream: false)
        connection.scheduleFlush()
        let tunnel = HTTP2Tunnel(self, server, worker)
        self.tunnel = tunnel
        let waiting = early?.bytes ?? []
        tunnel.start(fromClient: waiting.span, fromServer: rest, clientHasEnded: clientHasEnded)
        early = nil
        mustWait = false
    }

    func sendTunneled(_ bytes: Span<UInt8>) -> Int {
        guard isOpen else { return 0 }
        session.send(slot, bytes)
        connection.scheduleFlush()
        return session.queuedBytes(slot)
    }

    func endTunnel() {
        guard isOpen else { return }
        session.end(slot, trailers: nil)
        connection.scheduleFlush()
    }

    func cutTunnel() {
        guard isOpen else { return }
        session.reset(slot, HTTP2ErrorCode.cancel)
        connection.scheduleFlush()
    }

    var tunnelQueue: Int { isOpen ? session.queuedBytes(slot) : 0 }

    func tunnelTookBytes() {
        guard isOpen else { return }
        session.consumeAll(slot)
        connection.scheduleFlush()
    }

    // MARK: the end

    /// Ends an exchange whose client has stopped reading or sending in the middle.
    func checkProgress() {
        guard isOpen, tunnel == nil, worker.now - lastProgress >= worker.timeouts.idle else { return }
        if session.queuedBytes(slot) > 0 {
            downstreamFailed()
        } else if !requestIsWhole, !isAnswered {
            refuse(408, "the request's body took too long", flag: "DT")
        }
    }

    func streamClosed(_ code: UInt32) {
        isOpen = false
        tunnel?.streamClosed()
        tunnel = nil
        early = nil
        guard hasUpstream else { return }
        record.flags = "DC"
        finishRecord(.failed)
        leaveUpstream()
    }

    func connectionEnded() { streamClosed(HTTP2ErrorCode.cancel) }
}
