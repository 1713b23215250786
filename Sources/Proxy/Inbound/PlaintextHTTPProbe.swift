import Addressing

/// Finds a listed HTTP probe in a connection's first bytes, or hands them to the gRPC one.
///
/// A GET without body, the listed target to the byte, and not one byte more. Its other fields are not looked at, for they
/// go nowhere.
final class PlaintextHTTPProbe: PlaintextProbe {
    private var head: [UInt8] = []

    override func received(_ bytes: Span<UInt8>) {
        unsafe bytes.withUnsafeBufferPointer { unsafe head.append(contentsOf: $0) }
        guard head.count <= PlaintextProbe.maximumBytes else { return refuse("no probe is that long") }
        let received = head
        switch ProtocolSniffer.classify(received.span) {
        case .undecided: break
        case .http1: readHead(received.span)
        case .http2: handOver()
        case .tls, .opaque: refuse("neither TLS nor HTTP")
        }
    }

    private func readHead(_ bytes: Span<UInt8>) {
        switch worker.requestParser.parse(bytes, resumingAt: 0) {
        case .needsMore: break
        case .failed(let error): refuse("\(error.sentence)")
        case .complete:
            guard let probe = listed(worker.requestParser.head, bytes) else {
                return refuse("APP_PROBES lists no such request")
            }
            guard worker.requestParser.head.byteCount == bytes.count else {
                return refuse("something follows the probe's request")
            }
            ask(probe)
        }
    }

    private func listed(_ head: borrowing RequestHead, _ bytes: Span<UInt8>) -> AppProbe? {
        guard head.method == .get, head.targetForm == .origin, head.framing == .none,
            !head.fields.lines.contains(where: { $0.known == .upgrade || $0.known == .expect })
        else { return nil }
        let target = bytes.extracting(head.target.range).text
        return probes.first { probe in
            guard case .http(let question) = probe.action, !question.isTLS else { return false }
            return question.target == target
        }
    }

    private func handOver() {
        let services = probes.filter {
            if case .grpc = $0.action { true } else { false }
        }
        guard !services.isEmpty, let library = worker.http2,
            let session = HTTP2Session(.server, library, maxHeadBytes: PlaintextProbe.maximumBytes)
        else { return refuse("APP_PROBES lists no gRPC probe of this port") }
        PlaintextGRPCProbe(session, services, from: self).begin(early: head)
    }

    override func answer(_ hasPassed: Bool) {
        let writer = worker.takeWriter()
        if hasPassed {
            writer.append("HTTP/1.1 200 OK\r\ncontent-length: 3\r\nconnection: close\r\n\r\nok\n")
        } else {
            writer.appendErrorResponse(status: 503, "the application's probe failed", close: true, headRequest: false)
        }
        let outcome = writer.withSpan { channel.write($0) }
        worker.giveBack(writer)
        if case .failed = outcome { return channel.abort() }
        LingeringClose.start(on: channel, worker)
    }
}
