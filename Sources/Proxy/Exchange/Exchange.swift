/// One request and its answer: finds the upstream, sends the request on, repeats it where that does no harm, and has the
/// answer written the way the request came.
///
/// Subclasses know how their protocol reads requests and writes answers. With HTTP/1.1 the connection and its one
/// exchange are the same object, with HTTP/2 each stream is one. Either is used again for the next request.
class Exchange: ChannelUser {
    final let worker: Worker
    final let routing: RequestRouting
    final let direction: Direction
    final let record: RequestRecord
    /// Body bytes of the answer so far.
    final var answerBytes: UInt64 = 0
    private(set) final var method = Method.get
    private(set) final var requestIsWhole = false
    private(set) final var answerHasBegun = false
    /// The request wants its errors as gRPC statuses.
    private(set) final var isGRPC = false
    /// The client asked for another protocol.
    private(set) final var mayUpgrade = false

    private final var upstream: UpstreamLink?
    private final var tunnel: Tunnel?
    private final var route: UpstreamRoute?
    /// Nothing has been sent yet: the upstream's protocol is not known before its handshake.
    private final var isWaiting = false
    private final var replay = Replay()
    private final var repetitions = 0
    private final var requestID: [UInt8] = []
    private final var interimAnswers = 0
    private final var interimBytes = 0

    init(_ worker: Worker, _ routing: RequestRouting, record: RequestRecord) {
        self.worker = worker
        self.routing = routing
        self.record = record
        direction = record.connection.direction
    }

    // MARK: what the downstream's protocol decides

    /// Writes an answer's head; the status is 200 or above.
    func writeHead(_ head: borrowing ResponseHead, from bytes: Span<UInt8>) { preconditionFailure("abstract") }
    func writeInterim(_ head: borrowing ResponseHead, from bytes: Span<UInt8>) { preconditionFailure("abstract") }
    func writeBody(_ payload: Span<UInt8>) { preconditionFailure("abstract") }
    func writeEnd(_ trailers: [FieldLine], from bytes: Span<UInt8>) { preconditionFailure("abstract") }
    /// Hands what was written to the connection; false when the client is gone.
    func flushAnswer() -> Bool { preconditionFailure("abstract") }
    /// The answer is complete and flushed; the exchange is over.
    func answerEnded() { preconditionFailure("abstract") }
    /// Answers with an error of the proxy's own instead of the upstream's answer, of which nothing was written yet; returns
    /// how many bytes its body has.
    func writeError(_ status: UInt16, _ reason: StaticString) -> Int { preconditionFailure("abstract") }
    /// Ends an answer in the middle, so that the client can tell that it is not whole (RFC 9112 section 8).
    func cutAnswer(_ failure: UpstreamFailure) { preconditionFailure("abstract") }
    /// The upstream takes no more for now.
    func requestMustWait() { preconditionFailure("abstract") }
    func requestMayGoOn() { preconditionFailure("abstract") }
    /// The upstream speaks another protocol from here on (RFC 9110 section 7.8); its channel is the exchange's now.
    ///
    /// - Parameter rest: what the upstream has said already in that protocol.
    func switchProtocol(
        _ head: borrowing ResponseHead, from bytes: Span<UInt8>, to server: Channel, early rest: Span<UInt8>
    ) { preconditionFailure("abstract") }
    /// The connection that CONNECT asked for stands; `begin` hands the client's connection to the tunnel.
    func tunnelStands(_ tunnel: Tunnel) { preconditionFailure("abstract") }
    /// The connection to the client is gone or of no more use.
    func downstreamFailed() { preconditionFailure("abstract") }

    // MARK: the request, told by the downstream

    /// Begins an exchange; false when the request was answered with an error instead.
    ///
    /// - Parameter isWhole: no body follows.
    final func beginRequest(_ head: borrowing RequestHead, in bytes: Span<UInt8>, isWhole: Bool) -> Bool {
        method = head.method
        requestIsWhole = isWhole
        answerHasBegun = false
        answerBytes = 0
        isGRPC = head.fields.isGRPC
        mayUpgrade = head.hasUpgrade
        repetitions = 0
        isWaiting = false
        interimAnswers = 0
        interimBytes = 0
        replay.begin()
        worker.counters.requestBegan(direction)

        requestID.removeAll(keepingCapacity: true)
        if head.needsRequestID { worker.requestIDs.append(to: &requestID) }
        record.begin(at: worker.now)
        if worker.keepsTexts { record.describe(head, bytes, madeID: requestID) }

        switch method == .connect ? routing.connect(head, in: bytes) : routing.route(head, in: bytes) {
        case .refuse(let status, let reason):
            refuse(status, reason, flag: "NR")
            return false
        case .tunnel(let tunnel):
            self.tunnel = tunnel
            tunnel.open(for: self)
            return self.tunnel != nil
        case .upstream(let route):
            guard let route = mayUpgrade ? route.forUpgrade : route else {
                refuse(501, "the upstream speaks HTTP/2, where no other protocol can be switched to", flag: "NR")
                return false
            }
            self.route = route
            return connect(route, head, bytes, fresh: false)
        }
    }

    /// Sends on a piece of the request's body.
    final func sendBody(_ payload: Span<UInt8>) {
        record.bytesReceived += UInt64(payload.count)
        worker.counters.sentUp(direction, payload.count)
        replay.append(payload)
        upstream?.send(payload)
    }

    final func endRequest(_ trailers: [FieldLine], from bytes: Span<UInt8>) {
        guard !requestIsWhole else { return }
        requestIsWhole = true
        // Trailers lie in a buffer that will be gone.
        if !trailers.isEmpty { replay.drop() }
        if isWaiting, !trailers.isEmpty { return refuse(502, "upstream failed", flag: "UF") }
        upstream?.end(trailers, from: bytes)
    }

    /// Hands what was sent to the upstream's connection.
    final func flushRequest() {
        guard let upstream, !upstream.flush() else { return }
        // Everything the upstream was sent is at hand: another connection may be better.
        if upstream.isReused, replay.isComplete {
            leaveUpstream()
            return repeatRequest(fresh: true)
        }
        // It takes no more, but may have answered before it closed: its side is read to the end first.
        guard !upstream.isReadable else { return requestMustWait() }
        leaveUpstream()
        upstreamFailed(.closedEarly, repeat: .never)
    }

    private final func connect(
        _ route: UpstreamRoute, _ head: borrowing RequestHead, _ bytes: Span<UInt8>, fresh: Bool
    ) -> Bool {
        do throws(ChannelError) {
            guard let link = try route.pool.take(route.version, fresh: fresh, for: self) else {
                isWaiting = true
                replay.keep(head, bytes, limit: head.byteCount + Limits.waitingBodyBytes)
                // More than is kept could not be sent.
                if !requestIsWhole { requestMustWait() }
                return true
            }
            isWaiting = false
            upstream = link
            if link.mayNeedReplay { replay.keep(head, bytes, limit: Limits.replayBytes) }
            link.begin(head, bytes, routing.rewrite, requestID, isWhole: requestIsWhole, for: self)
            return true
        } catch {
            isWaiting = false
            upstreamFailed(.channel(error), repeat: .never)
            return false
        }
    }

    /// The connection that was waited for is there, or is known not to come.
    final func connectionIsKnown(_ error: ChannelError?) {
        guard isWaiting else { return }
        isWaiting = false
        if let error { return upstreamFailed(.channel(error), repeat: .never) }
        // First, since what is sent now may fill the connection: then the client has to wait for that.
        requestMayGoOn()
        resend(fresh: false)
    }

    // MARK: repeating

    /// - Parameter fresh: over a connection that cannot have died meanwhile.
    private final func repeatRequest(fresh: Bool) {
        worker.counters.retries += 1
        repetitions += 1
        resend(fresh: fresh)
    }

    /// Sends the request, as far as it is here, to a connection of the same route.
    private final func resend(fresh: Bool) {
        guard let route else { return }
        var kept = Replay()
        swap(&kept, &replay)
        let head = kept.head.span
        guard kept.isComplete, case .complete = worker.requestParser.parse(head, resumingAt: 0) else {
            return upstreamFailed(.closedEarly, repeat: .never)
        }
        if kept.isHTTP2 { worker.requestParser.reframe(endsWithHead: kept.hasNoBody) }
        let isWhole = requestIsWhole
        requestIsWhole = kept.hasNoBody && isWhole
        guard connect(route, worker.requestParser.head, head, fresh: fresh) else { return }
        if !kept.body.isEmpty {
            replay.append(kept.body.span)
            upstream?.send(kept.body.span)
        }
        if isWhole, !requestIsWhole {
            requestIsWhole = true
            upstream?.end([], from: head)
        }
        flushRequest()
    }

    // MARK: the answer, told by the upstream

    /// Passes an answer of 1xx on; false when there are more of them than a client can be asked to keep up with.
    final func interimAnswerCame(_ head: borrowing ResponseHead, from bytes: Span<UInt8>) -> Bool {
        interimAnswers += 1
        interimBytes += head.byteCount
        guard interimAnswers <= Limits.interimAnswers, interimBytes <= Limits.interimBytes else { return false }
        writeInterim(head, from: bytes)
        return true
    }

    final func answerBegins(_ head: borrowing ResponseHead, from bytes: Span<UInt8>) {
        answerHasBegun = true
        replay.drop()
        record.status = head.status
        writeHead(head, from: bytes)
    }

    final func answerContinues(_ payload: Span<UInt8>) {
        answerBytes += UInt64(payload.count)
        worker.counters.sentDown(direction, payload.count)
        writeBody(payload)
    }

    final func answerEnds(_ trailers: [FieldLine], from bytes: Span<UInt8>) { writeEnd(trailers, from: bytes) }

    /// The upstream has given its whole answer and is no longer part of this.
    final func answerIsWhole() {
        finishRecord(.answered)
        upstream = nil
        answerEnded()
    }

    /// A tunnel has begun; its bytes are bodies.
    final func tunnelBegins() {
        upstream = nil
        tunnel = nil
        answerHasBegun = true
        replay.drop()
    }

    /// Whether a failed request may be sent again.
    enum Repetition {
        case never
        /// The upstream may have acted on it (RFC 9110 section 9.2.2).
        case ifIdempotent
        /// It surely has not.
        case always
    }

    /// The upstream gave no answer, or not all of it, and is no longer part of this.
    final func upstreamFailed(_ failure: UpstreamFailure, repeat repetition: Repetition) {
        if let remote = upstream?.remote ?? tunnel?.remote { record.upstream = remote }
        upstream = nil
        tunnel = nil
        worker.counters.upstreamFailed(direction, UpstreamErrorReason(failure))
        if !answerHasBegun, replay.isComplete {
            switch repetition {
            case .never: break
            case .ifIdempotent where repetitions == 0 && (method.isIdempotent || !requestIsWhole):
                return repeatRequest(fresh: true)
            case .ifIdempotent: break
            case .always where repetitions < Limits.refusalsPerRequest: return repeatRequest(fresh: false)
            case .always: break
            }
        }
        record.flags = failure.flag
        record.reason = failure.sentence
        worker.explain(failure, record)
        guard !answerHasBegun else {
            finishRecord(.failed)
            return cutAnswer(failure)
        }
        refuse(failure.status, failure.answer, flag: failure.flag)
    }

    final func resumeAnswer() { upstream?.resumeAnswer() }
    final func pauseAnswer() { upstream?.pauseAnswer() }

    // MARK: ending

    /// Counts and logs a request of which nothing is sent on, for its client has left.
    final func noteCancelled(_ head: borrowing RequestHead, in bytes: Span<UInt8>) {
        method = head.method
        mayUpgrade = false
        answerBytes = 0
        worker.counters.requestBegan(direction)
        record.begin(at: worker.now)
        if worker.keepsTexts { record.describe(head, bytes, madeID: []) }
        record.flags = "DC"
        finishRecord(.failed)
    }

    /// Answers bytes that are no request.
    ///
    /// - Parameter line: where the request line lies, if that much is known: the parser has found it.
    final func refuseMalformed(
        _ status: UInt16, _ reason: StaticString, flag: StaticString, line: RequestParser.Line?, in bytes: Span<UInt8>
    ) {
        method = .get
        isGRPC = false
        mayUpgrade = false
        worker.counters.requestBegan(direction)
        answerHasBegun = false
        requestIsWhole = false
        record.begin(at: worker.now)
        if let line {
            method = line.method
            if worker.keepsTexts { record.describe(line, bytes) }
        }
        refuse(status, reason, flag: flag)
    }

    /// Answers with an error of the proxy's own.
    final func refuse(_ status: UInt16, _ reason: StaticString, flag: StaticString) {
        leaveUpstream()
        // In the middle of an answer an error would be taken for a part of it.
        guard !answerHasBegun else { return downstreamFailed() }
        record.status = status
        record.flags = flag
        answerHasBegun = true
        // In the log only: the counters tell what the two ends have said to each other.
        answerBytes = UInt64(writeError(status, reason))
        guard flushAnswer() else { return downstreamFailed() }
        finishRecord(.failed)
        answerEnded()
    }

    final func leaveUpstream() {
        // It may be used again, for a request that waits for another connection.
        if isWaiting { route?.pool.stopWaiting(self) }
        isWaiting = false
        upstream?.abandon()
        upstream = nil
        tunnel?.abandon()
        tunnel = nil
    }

    final var hasUpstream: Bool { upstream != nil || isWaiting }

    /// What a request has come to.
    enum Ending {
        /// The client was given the upstream's whole answer.
        case answered
        /// It got what it wanted, another protocol.
        case tunnelled
        case failed
    }

    /// Counts and logs the request's end. Every request comes here once.
    final func finishRecord(_ ending: Ending) {
        if direction == .outbound, record.isRunning { note(ending) }
        record.bytesSent = answerBytes
        if let remote = upstream?.remote ?? tunnel?.remote { record.upstream = remote }
        worker.log(record)
        record.reset()
    }

    private final func note(_ ending: Ending) {
        if ending == .failed { worker.counters.outboundFailures += 1 }
        let duration = worker.now - record.startedAt
        if method == .connect {
            worker.counters.connected(ending == .tunnelled, after: duration)
        } else if mayUpgrade {
            worker.counters.upgraded(ending == .tunnelled, after: duration)
        }
    }
}
