import Addressing

/// One connection to a service: one request after the other, each answered at once, later, or with a stream.
package final class ServiceConnection: ChannelUser {
    private enum Phase {
        /// Until a head is whole.
        case reading
        case receiving(ServiceRequest)
        /// The answer comes later; what the client sends meanwhile waits.
        case answering
        case streaming
        /// The last answer was given before all was read: what still comes is thrown away, since closing a socket with
        /// unread bytes could destroy the answer on its way (RFC 9112 section 9.6).
        case lingering(remaining: Int)
    }

    private let service: HTTPService
    private var parser: RequestParser
    private var received: [UInt8] = []
    private var phase = Phase.reading
    private var decoder = BodyDecoder(.none)
    /// Of the body that is coming, or of answers that wait; counted by the service too.
    private var heldBytes = 0
    /// When it came, was answered last or began with a request, whichever is latest; by the monotonic clock in microseconds.
    private(set) var waitsSince: Int64
    private var hasAnswered = false
    private weak var channel: Channel?
    private var stream: ServiceStream?

    /// What the answer must know of the request.
    private var method = Method.get
    private var keepsAlive = false
    private var isCutShort = false

    /// How much longer a client is waited for that has had no answer yet: those that have had some come again at once.
    private static let firstRequestMicroseconds: Int64 = 500_000
    /// How long and how much of a client's rest is read after the last answer.
    private static let lingerMicroseconds: Int64 = 2_000_000
    private static let lingerBytes = 4 << 20

    init(_ service: HTTPService, _ channel: Channel) {
        self.service = service
        self.channel = channel
        waitsSince = service.now
        parser = RequestParser(limits: HTTPLimits(maxHeadBytes: service.limits.headBytes))
    }

    deinit { service.forget(heldBytes) }

    // MARK: requests

    override func channelOpened(_ channel: Channel) { channel.setDeadline(after: service.limits.requestMicroseconds) }

    override func channelReadable(_ channel: Channel) {
        work(channel)
        guard channel.isOpen, channel.isReading else { return }
        switch channel.read(into: &service.scratch) {
        case .bytes(let count): take(count, channel)
        case .wouldBlock: return
        case .end: clientEnded(channel)
        case .failed: end(channel)
        }
    }

    private func take(_ count: Int, _ channel: Channel) {
        switch phase {
        case .streaming: return  // nothing that is said now matters
        case .lingering(let remaining):
            guard remaining > count else { return channel.close() }
            phase = .lingering(remaining: remaining - count)
            return
        case .reading:
            if received.isEmpty {
                channel.setDeadline(after: service.limits.requestMicroseconds)
                waitsSince = service.now
            }
        case .receiving, .answering: break
        }
        received.append(contentsOf: service.scratch[0..<count])
        work(channel)
    }

    private func clientEnded(_ channel: Channel) {
        // A client that has said all may still wait for its answer.
        switch phase {
        case .answering:
            keepsAlive = false
            channel.pauseReading()
        case .reading where channel.queuedBytes > 0:
            channel.closeWhenDrained(within: service.limits.requestMicroseconds)
        case .reading, .receiving, .streaming, .lingering: end(channel)
        }
    }

    private func work(_ channel: Channel) {
        // Who asks and does not read is answered no further: answers are larger than questions.
        while channel.isOpen, !received.isEmpty, channel.queuedBytes < service.limits.queuedBytes {
            switch phase {
            case .reading: guard readHead(channel) else { return }
            case .receiving(let request): guard readBody(of: request) else { return }
            case .answering, .streaming, .lingering: return stopAhead(channel)
            }
        }
        stopAhead(channel)
    }

    /// Requests that come faster than they can be answered wait in the kernel, beyond some.
    private func stopAhead(_ channel: Channel) {
        if channel.isOpen, received.count > 4 * service.limits.headBytes { channel.pauseReading() }
    }

    /// False when more must come first.
    private func readHead(_ channel: Channel) -> Bool {
        let bytes = received
        switch parser.parse(bytes.span, resumingAt: 0) {
        case .needsMore: return false
        case .failed(let error):
            method = .get
            refuse(error.status, "bad request")
            return true
        case .complete: break
        }
        let head = parser.head
        method = head.method
        keepsAlive = head.keepsAlive
        switch head.framing {
        case .none: break
        case .length(let count) where count <= UInt64(service.limits.bodyBytes): break
        case .chunked where service.limits.takesChunks: break
        case .length, .chunked, .untilClose:
            refuseBody()
            return true
        }
        let request = ServiceRequest(head, bytes, from: channel.remote)
        received.removeFirst(head.byteCount)
        decoder = BodyDecoder(head.framing)
        guard !decoder.isFinished else {
            handle(request)
            return true
        }
        phase = .receiving(request)
        if head.fields.expectsContinue, received.isEmpty {
            let interim = Array("HTTP/1.1 100 Continue\r\n\r\n".utf8)
            if case .failed = channel.write(interim.span) { channel.close() }
        }
        return true
    }

    /// False when more must come first.
    private func readBody(of unfinished: ServiceRequest) -> Bool {
        var request = unfinished
        phase = .reading  // so that the request is held once, and its body grows in place
        var bytes: [UInt8] = []
        swap(&bytes, &received)
        var offset = 0
        while true {
            switch decoder.next(bytes.span, from: offset) {
            case .data(let range):
                guard request.body.count + range.count <= service.limits.bodyBytes else {
                    refuseBody()
                    return true
                }
                guard hold(range.count) else {
                    refuse(503, "too many requests at once: try again")
                    return true
                }
                request.body.append(contentsOf: bytes[range])
                offset = range.upperBound
                guard decoder.isFinished else { continue }
            case .needsMore(let consumed):
                received = Array(bytes[consumed...])
                phase = .receiving(request)
                return false
            case .end(let consumed): offset = consumed
            case .failed(let error):
                refuse(error.status, "bad request")
                return true
            }
            received = Array(bytes[offset...])
            handle(request)
            return true
        }
    }

    private func handle(_ request: ServiceRequest) {
        letGo()
        phase = .answering
        service.handler(request, self)
    }

    private func hold(_ count: Int) -> Bool {
        guard service.hold(count) else { return false }
        heldBytes += count
        return true
    }

    private func letGo() {
        service.forget(heldBytes)
        heldBytes = 0
    }

    // MARK: answers

    private func refuse(_ status: UInt16, _ sentence: String) {
        letGo()
        phase = .answering
        keepsAlive = false
        isCutShort = true
        answer(ServiceAnswer(status, sentence))
    }

    private func refuseBody() {
        let length = service.limits.takesChunks ? "" : " and known length"
        refuse(413, "a body of up to \(service.limits.bodyBytes) bytes\(length)")
    }

    /// The address of this host that the client has asked.
    var local: Endpoint? { channel?.originalDestination }

    /// The answer that is waited for may take longer than others.
    func allow(microseconds: Int64) {
        channel?.setDeadline(after: service.limits.requestMicroseconds + microseconds)
    }

    /// Answers the request that waits; of two answers the second is not heard.
    package func answer(_ answer: ServiceAnswer) {
        guard case .answering = phase, let channel, channel.isOpen else { return }
        phase = .reading
        if service.isEasing { keepsAlive = false }
        var bytes = Array(
            """
            HTTP/1.1 \(answer.status) \(ReasonPhrase.of(answer.status))\r
            content-type: \(answer.content.rawValue)\r
            content-length: \(answer.body.count)\r
            cache-control: no-store\r
            connection: \(keepsAlive ? "keep-alive" : "close")\r
            \r

            """.utf8)
        if let allow = answer.allow { bytes.insert(contentsOf: Array("allow: \(allow)\r\n".utf8), at: bytes.count - 2) }
        if method != .head { bytes += answer.body }
        if case .failed = channel.write(bytes.span) { return channel.close() }
        waitsSince = service.now
        hasAnswered = true
        letGo()
        guard hold(channel.queuedBytes) else { return channel.abort() }
        if isCutShort { return linger(channel) }
        guard keepsAlive else { return channel.closeWhenDrained(within: service.limits.requestMicroseconds) }
        awaitClient(channel)
        channel.resumeReading()
        if !received.isEmpty { channel.readLater() }
    }

    /// For the next request, or first for it to take its answer.
    private func awaitClient(_ channel: Channel) {
        let limits = service.limits
        channel.setDeadline(after: channel.queuedBytes > 0 ? limits.requestMicroseconds : limits.idleMicroseconds)
    }

    /// Answers with lines that go on until the client leaves.
    func stream(_ lines: ServiceStream) {
        guard case .answering = phase, let channel, channel.isOpen else { return }
        phase = .streaming
        received = []
        let head =
            "HTTP/1.1 200 OK\r\ncontent-type: application/x-ndjson\r\ncache-control: no-store\r\nconnection: close\r\n\r\n"
        if case .failed = channel.write(Array(head.utf8).span) { return channel.close() }
        guard method != .head else { return channel.closeWhenDrained(within: service.limits.requestMicroseconds) }
        channel.clearDeadline()
        channel.resumeReading()
        stream = lines
        lines.start(channel)
    }

    // MARK: the end

    private func linger(_ channel: Channel) {
        phase = .lingering(remaining: ServiceConnection.lingerBytes)
        received = []
        channel.shutWrite()
        channel.setDeadline(after: ServiceConnection.lingerMicroseconds)
        channel.resumeReading()
    }

    private func end(_ channel: Channel) {
        stream.take()?.stop()
        channel.close()
    }

    /// The client waits for an answer that is not there yet.
    var waitsForAnswer: Bool {
        switch phase {
        case .answering: true
        case .reading, .receiving, .streaming, .lingering: false
        }
    }

    /// Whether something is to come from the client, or to be taken by it, before there is anything to do here.
    var waitsForClient: Bool {
        switch phase {
        case .reading, .receiving, .lingering: true
        case .answering, .streaming: false
        }
    }

    /// From when on a silent client is missed: the first to be is the first to make room.
    var isMissedFrom: Int64 { hasAnswered ? waitsSince : waitsSince + ServiceConnection.firstRequestMicroseconds }

    /// Reads what has come; true when that was a request, so that the client is not silent.
    func hears() -> Bool {
        guard let channel, channel.isOpen, channel.isReading else { return false }
        let since = waitsSince
        channelReadable(channel)
        return waitsSince != since || !waitsForClient
    }

    /// Closes a connection for the sake of another. Who waits for an answer is told.
    func makeRoom() {
        guard let channel else { return }
        guard waitsForAnswer else { return end(channel) }
        keepsAlive = false
        answer(ServiceAnswer(503, "too many are waiting: try again"))
    }

    /// Closes a connection whose client has asked nothing, or has had all its answers.
    func endIfIdle() {
        guard let channel, case .reading = phase, received.isEmpty, channel.isOpen else { return }
        channel.closeWhenDrained(within: service.limits.requestMicroseconds)
    }

    override func channelFailed(_ channel: Channel, _ error: ChannelError) {
        switch error {
        case .handshake, .handshakeTimedOut: service.handshakeFailed?(channel.remote, error.sentence)
        case .connect, .connectTimedOut, .noAddress, .lookUpTimedOut, .loop, .tls, .broken, .peerOutlived: break
        }
        end(channel)
    }
    override func channelReset(_ channel: Channel) { end(channel) }

    override func channelDrained(_ channel: Channel) {
        stream?.drained()
        switch phase {
        case .reading:
            letGo()
            guard !received.isEmpty else { return awaitClient(channel) }
            goOn(channel)
        case .receiving: goOn(channel)
        case .answering, .streaming, .lingering: break
        }
    }

    /// With what came while answers waited; reading may have been paused.
    private func goOn(_ channel: Channel) {
        guard !received.isEmpty else { return }
        channel.resumeReading()
        channel.readLater()
    }

    override func channelDeadline(_ channel: Channel) {
        if case .streaming = phase { return }
        end(channel)
    }
}
