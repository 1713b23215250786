/// grpc.health.v1.Health/Check by HTTP/2 in the clear; SERVING is good.
final class GRPCProbeAttempt: ProbeAttempt {
    private let session: HTTP2Session
    private let service: String
    private let authority: String
    private let userAgent: String
    private var parser = ResponseParser()
    private var message: [UInt8] = []
    private var grpcStatus: String?
    private var grpcMessage = ""

    static let maximumMessageBytes = 1_024

    init(
        _ session: HTTP2Session, service: String, authority: String, userAgent: String, tooLate: String,
        then done: @escaping (ProbeOutcome) -> Void
    ) {
        self.session = session
        self.service = service
        self.authority = authority
        self.userAgent = userAgent
        super.init(tooLate: tooLate, then: done)
    }

    override func ask(over channel: Channel) {
        let block = HeaderBlock()
        let (authority, userAgent) = (Array(authority.utf8), Array(userAgent.utf8))
        block.append(":method", "POST")
        block.append(":scheme", "http")
        block.append(":authority", authority.span)
        block.append(":path", HealthCheck.path)
        block.append("content-type", "application/grpc")
        block.append("user-agent", userAgent.span)
        block.append("te", "trailers")
        guard let slot = session.request(block, endsStream: false) else { return finish(.failed("no memory")) }
        let request = HealthCheck.request(service)
        session.send(slot, request.span)
        session.end(slot, trailers: nil)
        flush(channel)
    }

    private func flush(_ channel: Channel) {
        let writer = ByteWriter()
        guard session.output(into: writer, limit: Limits.flushBytes) else {
            return finish(.failed("\(answerer) does not keep to HTTP/2"))
        }
        if writer.count > 0 { writer.withSpan { send($0, over: channel) } }
    }

    override func heard(_ bytes: Span<UInt8>, over channel: Channel) {
        let isSound = session.receive(bytes)
        var events = HTTP2Events()
        session.takeEvents(into: &events)
        let text = events.text
        for event in events.list where !isOver { happened(event, bytes, text.span) }
        guard !isOver else { return }
        guard isSound else { return finish(.failed("\(answerer) does not speak HTTP/2")) }
        flush(channel)
    }

    private func happened(_ event: HTTP2Event, _ bytes: Span<UInt8>, _ text: Span<UInt8>) {
        switch event {
        case .head(_, let range, _): headCame(text.extracting(range))
        case .headTooLarge, .headMalformed: finish(.failed("the answer of \(answerer) has a malformed head"))
        case .data(_, let range):
            guard message.count + range.count <= GRPCProbeAttempt.maximumMessageBytes else {
                return finish(.failed("the answer of \(answerer) is larger than that of a health check"))
            }
            let piece = bytes.extracting(range)
            unsafe piece.withUnsafeBufferPointer { unsafe message.append(contentsOf: $0) }
        case .trailers(_, let range): note(text.extracting(range))
        case .closed(_, let code):
            // A server may end its answer and then reset what it did not read (RFC 9113 section 8.1).
            guard code == HTTP2ErrorCode.none || grpcStatus != nil else {
                return finish(.failed("\(answerer) reset the stream with error code \(code)"))
            }
            judge()
        case .end, .goAway: break  // `closed` follows
        }
    }

    private func headCame(_ text: Span<UInt8>) {
        guard case .complete = parser.parse(text, resumingAt: 0, for: .post) else {
            return finish(.failed("the answer of \(answerer) has a malformed head"))
        }
        let status = parser.head.status
        guard status >= 200 else { return }
        guard status == 200 else { return finish(.failed("status \(status) from \(answerer)")) }
        note(parser.head.fields.lines, in: text)
    }

    private func note(_ text: Span<UInt8>) { note(Trailers.read(text), in: text) }

    private func note(_ lines: [FieldLine], in text: Span<UInt8>) {
        for line in lines {
            let name = text.extracting(line.name.range)
            let value = text.extracting(line.value.range)
            if name.equalsIgnoringCase("grpc-status") { grpcStatus = value.text }
            if name.equalsIgnoringCase("grpc-message") { grpcMessage = value.text }
        }
    }

    private func judge() {
        guard let grpcStatus else { return finish(.failed("\(answerer) does not answer in gRPC")) }
        guard grpcStatus == "0" else {
            let reason = grpcMessage.isEmpty ? "" : " (\(HostName.printable(grpcMessage)))"
            return finish(.failed("grpc-status \(HostName.printable(grpcStatus))\(reason) from \(answerer)"))
        }
        guard let status = HealthCheck.status(in: message) else {
            return finish(.failed("the answer of \(answerer) is no health check's"))
        }
        let sentence = "\(status.name) from \(answerer)"
        finish(status == .serving ? .passed(sentence) : .failed(sentence))
    }
}
