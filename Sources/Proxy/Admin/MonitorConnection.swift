/// One connection to the monitor port: one request after the other, each answered at once, later, or with a stream.
final class MonitorConnection: ChannelUser {
    private enum Phase {
        case reading
        /// The answer comes later; what the client sends meanwhile waits.
        case answering(Method, keepsAlive: Bool)
        case streaming
    }

    private let routes: MonitorRoutes
    private var parser = RequestParser(limits: HTTPLimits(maxHeadBytes: MonitorConnection.maximumHeadBytes))
    private var received: [UInt8] = []
    private var phase = Phase.reading
    private weak var channel: Channel?
    /// What feeds the stream, told when it ends.
    private var stream: FlowSubscription?

    static let maximumHeadBytes = 8_192
    static let maximumQueuedBytes = 65_536
    /// The name of a level is all that anybody has to send.
    static let maximumBodyBytes: UInt64 = 1_024

    init(_ routes: MonitorRoutes) { self.routes = routes }

    // MARK: requests

    override func channelReadable(_ channel: Channel) {
        if case .reading = phase, !received.isEmpty { work(channel) }
        guard channel.isOpen, channel.isReading else { return }
        var buffer = [UInt8](repeating: 0, count: MonitorConnection.maximumHeadBytes)
        switch channel.read(into: &buffer) {
        case .bytes(let count):
            if case .streaming = phase { return }  // nothing that is said now matters
            received.append(contentsOf: buffer[0..<count])
            if received.count > 4 * MonitorConnection.maximumHeadBytes { channel.pauseReading() }
        case .wouldBlock: return
        case .end:
            // A client that has said all may still wait for its answer.
            guard case .answering(let method, _) = phase else { return end(channel) }
            phase = .answering(method, keepsAlive: false)
            return channel.pauseReading()
        case .failed: return end(channel)
        }
        work(channel)
    }

    private func work(_ channel: Channel) {
        self.channel = channel
        // Who asks and does not read is answered no further: answers are larger than questions.
        while channel.isOpen, !received.isEmpty, channel.queuedBytes < MonitorConnection.maximumQueuedBytes,
            case .reading = phase
        {
            let bytes = received
            switch parser.parse(bytes.span, resumingAt: 0) {
            case .needsMore: return
            case .failed(let error):
                phase = .answering(.get, keepsAlive: false)
                return answer(MonitorAnswer(error.status, "bad request"))
            case .complete: guard takeRequest(channel) else { return }
            }
        }
    }

    /// False when the request's body is not all there yet.
    private func takeRequest(_ channel: Channel) -> Bool {
        let head = parser.head
        var length = 0
        switch head.framing {
        case .none: break
        case .length(let count) where count <= MonitorConnection.maximumBodyBytes: length = Int(count)
        case .length, .chunked, .untilClose:
            phase = .answering(head.method, keepsAlive: false)
            answer(MonitorAnswer(413, "a body of up to \(MonitorConnection.maximumBodyBytes) bytes and known length"))
            return true
        }
        guard received.count >= head.byteCount + length else { return false }
        let request = MonitorRequest(
            head.method, target: String(decoding: received[head.pathAndQuery.range], as: UTF8.self),
            from: channel.remote, to: channel.originalDestination, userAgent: userAgent(head),
            body: Array(received[head.byteCount..<head.byteCount + length]))
        received.removeFirst(head.byteCount + length)
        phase = .answering(head.method, keepsAlive: head.keepsAlive)
        routes.handle(request, self)
        return true
    }

    private func userAgent(_ head: RequestHead) -> String? {
        for line in head.fields.lines where received[line.name.range].count == 10 {
            let name = String(decoding: received[line.name.range], as: UTF8.self)
            if name.lowercased() == "user-agent" { return String(decoding: received[line.value.range], as: UTF8.self) }
        }
        return nil
    }

    // MARK: answers

    /// The answer that is waited for may take longer than others.
    func allow(seconds: Int) {
        channel?.setDeadline(after: MonitorServer.requestMicroseconds + Int64(seconds) * 1_000_000)
    }

    /// Answers the request that waits; of two answers the second is not heard.
    func answer(_ answer: MonitorAnswer) {
        guard case .answering(let method, let keepsAlive) = phase, let channel, channel.isOpen else { return }
        phase = .reading
        var bytes = Array(
            """
            HTTP/1.1 \(answer.status) \(ReasonPhrase.of(answer.status))\r
            content-type: \(answer.content.rawValue)\r
            content-length: \(answer.body.count)\r
            cache-control: no-store\r
            connection: \(keepsAlive ? "keep-alive" : "close")\r
            \r

            """.utf8)
        if method != .head { bytes += answer.body }
        if case .failed = channel.write(bytes.span) { return channel.close() }
        guard keepsAlive else { return channel.closeWhenDrained(within: MonitorServer.requestMicroseconds) }
        channel.setDeadline(after: MonitorServer.requestMicroseconds)
        channel.resumeReading()
        if !received.isEmpty { channel.readLater() }
    }

    /// Answers with lines that go on until the client leaves.
    func stream(_ subscription: FlowSubscription) {
        guard case .answering(let method, _) = phase, let channel, channel.isOpen else { return }
        phase = .streaming
        let head =
            "HTTP/1.1 200 OK\r\ncontent-type: application/x-ndjson\r\ncache-control: no-store\r\nconnection: close\r\n\r\n"
        if case .failed = channel.write(Array(head.utf8).span) { return channel.close() }
        guard method != .head else { return channel.closeWhenDrained(within: MonitorServer.requestMicroseconds) }
        channel.clearDeadline()
        channel.resumeReading()
        stream = subscription
        subscription.start(channel)
    }

    // MARK: the end

    private func end(_ channel: Channel) {
        stream.take()?.stop()
        channel.close()
    }

    override func channelFailed(_ channel: Channel, _ error: ChannelError) { end(channel) }
    override func channelReset(_ channel: Channel) { end(channel) }

    override func channelDrained(_ channel: Channel) {
        stream?.drained()
        guard case .reading = phase, !received.isEmpty else { return }
        channel.resumeReading()  // paused since more had come than could be answered
        channel.readLater()
    }

    override func channelDeadline(_ channel: Channel) {
        if case .streaming = phase { return }
        end(channel)
    }
}
