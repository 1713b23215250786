import Addressing

/// Finds a listed gRPC health check in an HTTP/2 connection: its first stream, with the listed service as its whole body.
final class PlaintextGRPCProbe: PlaintextProbe {
    private let session: HTTP2Session
    private var slot: HTTP2Slot?
    private var body: [UInt8] = []
    private var count = 0
    private var hasEnded = false

    /// Takes over from the one that has read the first bytes.
    init(_ session: HTTP2Session, _ probes: [AppProbe], from first: PlaintextProbe) {
        self.session = session
        super.init(first.worker, first.channel, to: first.original, probes, first.record)
    }

    func begin(early bytes: [UInt8]) {
        channel.user = self
        received(bytes.span)
    }

    // MARK: the question

    override func received(_ bytes: Span<UInt8>) {
        count += bytes.count
        guard count <= PlaintextProbe.maximumBytes else { return refuse("no probe is that long") }
        let isSound = session.receive(bytes)
        var events = HTTP2Events()
        session.takeEvents(into: &events)
        let text = events.text
        for event in events.list {
            guard isExpected(event, bytes, text.span) else { return refuse("APP_PROBES lists no such request") }
        }
        guard isSound else { return refuse("it is not HTTP/2") }
        guard flush() else { return channel.abort() }
        guard hasEnded else { return }
        guard let probe = probes.first(where: { asks($0) }) else { return refuse("APP_PROBES lists no such service") }
        ask(probe)
    }

    private func isExpected(_ event: HTTP2Event, _ bytes: Span<UInt8>, _ text: Span<UInt8>) -> Bool {
        switch event {
        case .head(let slot, let range, let endsStream):
            guard self.slot == nil, !endsStream else { return false }
            self.slot = slot
            return isHealthCheck(text.extracting(range))
        case .data(_, let range):
            let piece = bytes.extracting(range)
            unsafe piece.withUnsafeBufferPointer { unsafe body.append(contentsOf: $0) }
            return true
        case .end:
            hasEnded = true
            return true
        case .headTooLarge, .headMalformed, .trailers, .closed, .goAway: return false
        }
    }

    private func isHealthCheck(_ head: Span<UInt8>) -> Bool {
        guard case .complete = worker.requestParser.parse(head, resumingAt: 0) else { return false }
        let request = worker.requestParser.head
        return request.method == .post && request.fields.isGRPC && !request.hasUpgrade
            && head.extracting(request.target.range).equals(HealthCheck.path)
    }

    private func asks(_ probe: AppProbe) -> Bool {
        switch probe.action {
        case .grpc(_, let service): body == HealthCheck.request(service)
        case .http, .tcp: false
        }
    }

    // MARK: the answer

    override func answer(_ hasPassed: Bool) {
        guard let slot else { return channel.abort() }
        let block = HeaderBlock()
        block.append(":status", number: 200)
        block.append("content-type", "application/grpc")
        session.answer(slot, block, endsStream: false)
        let trailers = HeaderBlock()
        if hasPassed {
            let serving = HealthCheck.serving
            session.send(slot, serving.span)
            trailers.append("grpc-status", "0")
        } else {
            trailers.append("grpc-status", number: GRPCStatus.of(503))
            trailers.append("grpc-message", "the application's probe failed")
        }
        session.end(slot, trailers: trailers)
        // The answer first: the library sends a goodbye before everything else.
        guard flush() else { return channel.abort() }
        session.terminate(HTTP2ErrorCode.none)
        guard flush() else { return channel.abort() }
        LingeringClose.start(on: channel, worker)
    }

    private func flush() -> Bool {
        let writer = worker.takeWriter()
        defer { worker.giveBack(writer) }
        guard session.output(into: writer, limit: Limits.flushBytes) else { return false }
        guard writer.count > 0 else { return true }
        if case .failed = writer.withSpan({ channel.write($0) }) { return false }
        return true
    }
}
