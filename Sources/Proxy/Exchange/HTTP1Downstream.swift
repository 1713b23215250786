/// An HTTP/1.1 connection from a peer or the application: takes requests one after the other and has each answered.
final class HTTP1Downstream: ChannelUser {
    private enum Phase {
        /// Between requests, or in the middle of a head.
        case awaitingRequest
        case exchanging
        /// The last answer is out; nothing more is read as a request.
        case closing
    }

    private let worker: Worker
    private let channel: Channel
    private let routing: RequestRouting
    private var phase = Phase.awaitingRequest

    /// Bytes read but not yet understood: a head or a chunk's line that came in pieces, or the next request.
    private var carry: [UInt8] = []
    private var scanned = 0

    private var upstream: HTTP1Upstream?
    private var pool: UpstreamPool?
    private var method = Method.get
    private var minorVersion: UInt8 = 1
    private var keepsAlive = true
    private var body = BodyDecoder(.none)
    private var chunksBody = false
    private var requestIsWhole = false
    private var answerHasBegun = false
    /// The client asked for another protocol.
    private(set) var mayUpgrade = false
    private var record: RequestRecord
    /// Body bytes of the answer so far.
    var answerBytes: UInt64 = 0

    init(_ channel: Channel, _ routing: RequestRouting, _ worker: Worker, record: ConnectionRecord) {
        self.channel = channel
        self.routing = routing
        self.worker = worker
        self.record = RequestRecord(connection: record)
    }

    /// Starts with bytes that were read while the protocol was found out.
    func start(early bytes: [UInt8]) {
        channel.user = self
        channel.resumeReading()
        carry = bytes
        if bytes.isEmpty {
            channel.setDeadline(after: worker.timeouts.idle)
        } else {
            channel.setDeadline(after: worker.timeouts.header)
            channel.readLater()
        }
    }

    // MARK: reading requests

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
        case .failed: clientFailed()
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
                guard let next = readHead(bytes, offset) else { return phase == .closing ? bytes.count : offset }
                offset = next
            case .exchanging:
                guard !requestIsWhole else {
                    channel.pauseReading()  // the next request waits for this answer
                    return offset
                }
                guard let next = readBody(bytes, offset) else { return phase == .closing ? bytes.count : offset }
                offset = next
                // What is left is the beginning of a chunk's line or the next request: more bytes decide.
                if !requestIsWhole { return offset }
            case .closing: return bytes.count
            }
        }
        return offset
    }

    /// Reads a head and sends the request on; nil when it is not complete or was refused.
    private func readHead(_ bytes: Span<UInt8>, _ offset: Int) -> Int? {
        let rest = bytes.extracting(offset...)
        switch worker.requestParser.parse(rest, resumingAt: scanned) {
        case .needsMore:
            if scanned == 0 { channel.setDeadline(after: worker.timeouts.header) }
            scanned = rest.count
            return nil
        case .failed(let error):
            record.begin(at: worker.now)
            refuse(error.status, error.sentence, flag: "DPE")
            return nil
        case .complete:
            scanned = 0
            return begin(worker.requestParser.head, bytes, rest, offset)
        }
    }

    private func begin(_ head: RequestHead, _ bytes: Span<UInt8>, _ rest: Span<UInt8>, _ offset: Int) -> Int? {
        phase = .exchanging
        channel.clearDeadline()
        method = head.method
        minorVersion = head.minorVersion
        keepsAlive = head.keepsAlive && !worker.isDraining
        body = BodyDecoder(head.framing)
        chunksBody = head.framing == .chunked
        requestIsWhole = body.isFinished
        answerHasBegun = false
        mayUpgrade = head.hasUpgrade
        answerBytes = 0
        worker.counters.requests += 1

        var writer = worker.takeWriter()
        defer { worker.giveBack(writer) }
        let requestID = routing.rewrite.write(
            head, from: rest, requestIDs: &worker.requestIDs, into: &writer)
        record.begin(at: worker.now)
        if worker.logsAccess { record.describe(head, rest, requestID, in: writer.bytes.span) }

        let route =
            head.method == .connect
            ? Route.refuse(status: 501, "CONNECT is not supported here") : routing.route(head, in: rest)
        switch route {
        case .refuse(let status, let reason):
            requestIsWhole = false
            refuse(status, reason, flag: "NR")
            return nil
        case .pool(let pool):
            self.pool = pool
            var next = offset + head.byteCount
            guard let end = appendBody(bytes, from: next, to: &writer) else { return nil }
            next = end
            if !requestIsWhole { channel.setDeadline(after: worker.timeouts.idle) }
            guard send(writer.bytes.span, over: pool, fresh: false) else {
                // Answered already, with an error; the request is consumed all the same.
                return phase == .closing ? nil : next
            }
            return next
        }
    }

    /// Sends the beginning of a request, over another connection if the first turns out to be dead.
    private func send(_ bytes: Span<UInt8>, over pool: UpstreamPool, fresh: Bool) -> Bool {
        do throws(ChannelError) {
            let upstream = try pool.take(fresh: fresh)
            self.upstream = upstream
            if upstream.begin(bytes, method, isWhole: requestIsWhole, for: self) { return true }
            upstream.abandon()
            self.upstream = nil
            guard !fresh else {
                upstreamFailed(.closedEarly, replay: nil, answerHadBegun: false)
                return false
            }
            worker.counters.retries += 1
            return send(bytes, over: pool, fresh: true)
        } catch {
            upstreamFailed(.channel(error), replay: nil, answerHadBegun: false)
            return false
        }
    }

    /// Sends on what is there of a request's body; nil when the exchange is over.
    private func readBody(_ bytes: Span<UInt8>, _ offset: Int) -> Int? {
        guard let upstream else { return bytes.count }
        channel.setDeadline(after: worker.timeouts.idle)
        defer { if requestIsWhole, channel.queuedBytes == 0 { channel.clearDeadline() } }
        if !chunksBody {
            // Bytes of a body with a length go on from where they lie.
            switch body.next(bytes, from: offset) {
            case .data(let range):
                record.bytesReceived += UInt64(range.count)
                guard upstream.send(bytes.extracting(range)) else { return upstreamIsDeaf() }
                if body.isFinished { requestEnded() }
                return range.upperBound
            case .needsMore(let consumed): return consumed
            case .end(let consumed):
                requestEnded()
                return consumed
            case .failed(let error): return malformed(error)
            }
        }
        var writer = worker.takeWriter()
        defer { worker.giveBack(writer) }
        guard let end = appendBody(bytes, from: offset, to: &writer) else { return nil }
        if writer.count > 0, !upstream.send(writer.bytes.span) { return upstreamIsDeaf() }
        if requestIsWhole { upstream.finishRequest() }
        return end
    }

    /// Appends what is there of a body, framed for the upstream; nil when it is malformed.
    private func appendBody(_ bytes: Span<UInt8>, from start: Int, to writer: inout ByteWriter) -> Int? {
        var offset = start
        while !requestIsWhole {
            switch body.next(bytes, from: offset) {
            case .data(let range):
                record.bytesReceived += UInt64(range.count)
                if chunksBody {
                    writer.appendChunk(bytes.extracting(range))
                } else {
                    writer.append(bytes.extracting(range))
                }
                offset = range.upperBound
                if body.isFinished { requestIsWhole = true }
            case .needsMore(let consumed): return consumed
            case .end(let consumed):
                requestIsWhole = true
                if chunksBody { writer.appendLastChunk(body.trailers, from: bytes) }
                return consumed
            case .failed(let error): return malformed(error)
            }
        }
        return offset
    }

    private func requestEnded() {
        requestIsWhole = true
        upstream?.finishRequest()
    }

    private func malformed(_ error: HTTPError) -> Int? {
        dropUpstream()
        refuse(error.status, error.sentence, flag: "DPE")
        return nil
    }

    /// The upstream takes no more of the request. It may have answered before it closed, so its side is read to the
    /// end first; until then nothing more is taken from the client.
    private func upstreamIsDeaf() -> Int? {
        channel.pauseReading()
        return nil
    }

    private func ended() {
        switch phase {
        case .awaitingRequest:
            if carry.isEmpty { return closeGently() }
            record.begin(at: worker.now)
            refuse(400, "the connection ended in the middle of a request", flag: "DPE")
        case .exchanging:
            guard requestIsWhole else { return clientFailed() }
            // A client that has sent its last request may close its side and still wait for the answer.
            keepsAlive = false
            channel.pauseReading()
        case .closing: channel.close()
        }
    }

    // MARK: what the upstream calls

    /// HTTP/1.0 clients do not know interim answers (RFC 9110 section 15.2).
    var understandsInterim: Bool { minorVersion >= 1 }
    var queuedBytes: Int { channel.queuedBytes }

    func requestMustWait() { channel.pauseReading() }

    func requestMayGoOn() {
        if phase == .exchanging, !requestIsWhole { channel.resumeReading() }
    }

    /// The answer's head is here; says how it is to be written.
    func answerBegins(_ head: borrowing ResponseHead) -> ResponseRewrite {
        answerHasBegun = true
        record.status = head.status
        let rewrite = ResponseRewrite(
            for: head, minorVersion: minorVersion, closes: !keepsAlive || worker.isDraining || !requestIsWhole)
        keepsAlive = !rewrite.closesDownstream
        return rewrite
    }

    func sendAnswer(_ bytes: Span<UInt8>) -> Channel.WriteOutcome {
        let outcome = channel.write(bytes)
        if case .queued = outcome { channel.setDeadline(after: worker.timeouts.idle) }
        return outcome
    }

    /// The answer is complete and handed to the kernel or the queue.
    func answerEnded() {
        finishRecord()
        upstream = nil
        guard keepsAlive, requestIsWhole else { return closeGently() }
        phase = .awaitingRequest
        channel.setDeadline(after: worker.isDraining ? Limits.drainGraceMicroseconds : worker.timeouts.idle)
        if !carry.isEmpty { channel.readLater() }
        channel.resumeReading()
    }

    /// The upstream speaks another protocol from here on: bytes go both ways unseen (RFC 9110 section 7.8).
    func switchProtocol(to server: Channel, early bytes: Span<UInt8>) {
        record.status = 101
        finishRecord()
        phase = .closing
        upstream = nil
        if case .failed = channel.write(bytes) {
            server.abort()
            return channel.abort()
        }
        var early: [UInt8] = []
        swap(&early, &carry)
        var tunnel = record.connection
        tunnel.startedAt = worker.now
        tunnel.upstream = server.remote
        Relay(worker, client: channel, server: server, record: tunnel).start(early: early)
    }

    func upstreamFailed(_ failure: UpstreamFailure, replay: [UInt8]?, answerHadBegun: Bool) {
        upstream = nil
        worker.counters.upstreamFailures += 1
        if let replay, let pool {
            worker.counters.retries += 1
            _ = send(replay.span, over: pool, fresh: true)
            return
        }
        record.flags = failure.flag
        worker.explain(failure, record)
        guard !answerHadBegun else {
            // The peer must be able to tell a cut-off answer from a whole one (RFC 9112 section 8).
            finishRecord()
            phase = .closing
            return channel.abort()
        }
        let status = failure.status
        refuse(status, status == 504 ? "upstream timed out" : "upstream failed", flag: failure.flag)
    }

    /// The connection to the client is gone.
    func clientFailed() {
        if phase == .exchanging {
            record.flags = "DC"
            finishRecord()
        }
        phase = .closing
        dropUpstream()
        channel.abort()
    }

    // MARK: other events

    override func channelDrained(_ channel: Channel) {
        if phase == .exchanging {
            if requestIsWhole { channel.clearDeadline() } else { channel.setDeadline(after: worker.timeouts.idle) }
            upstream?.resumeReading()
        }
    }

    override func channelFailed(_ channel: Channel, _ error: ChannelError) { clientFailed() }
    override func channelReset(_ channel: Channel) { clientFailed() }

    override func channelDeadline(_ channel: Channel) {
        switch phase {
        case .awaitingRequest:
            guard !carry.isEmpty || scanned > 0 else { return closeGently() }
            record.begin(at: worker.now)
            refuse(408, "the request's head took too long", flag: "DT")
        case .exchanging:
            guard !requestIsWhole, queuedBytes == 0 else { return clientFailed() }  // its reader has stopped
            dropUpstream()
            refuse(408, "the request's body took too long", flag: "DT")
        case .closing: channel.abort()
        }
    }

    override func channelDraining(_ channel: Channel) {
        keepsAlive = false
        if phase == .awaitingRequest, carry.isEmpty { channel.setDeadline(after: Limits.drainGraceMicroseconds) }
    }

    // MARK: ending

    /// Answers with a one-line error and closes: what follows on the connection cannot be trusted or waited for.
    private func refuse(_ status: UInt16, _ reason: StaticString, flag: StaticString) {
        // In the middle of an answer an error would be taken for a part of it.
        if phase == .exchanging, answerHasBegun { return clientFailed() }
        record.status = status
        record.flags = flag
        let staysOpen = phase == .exchanging && requestIsWhole && keepsAlive
        var writer = worker.takeWriter()
        writer.appendErrorResponse(status: status, reason, close: !staysOpen, headRequest: method == .head)
        if method != .head { answerBytes = UInt64(reason.utf8CodeUnitCount + 1) }
        let outcome = channel.write(writer.bytes.span)
        worker.giveBack(writer)
        if case .failed = outcome { return clientFailed() }
        keepsAlive = staysOpen
        answerEnded()
    }

    private func closeGently() {
        phase = .closing
        dropUpstream()
        carry = []
        LingeringClose.start(on: channel, worker)
    }

    private func dropUpstream() {
        upstream?.abandon()
        upstream = nil
    }

    private func finishRecord() {
        record.bytesSent = answerBytes
        record.upstream = upstream?.channel.remote
        worker.log(record)
        record.reset()
    }
}
