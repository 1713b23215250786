import Addressing

/// Asks the application whether it is ready: UPSTREAM_READINESS_URL. One answer serves everybody for a second.
final class ReadinessProbe {
    private let url: ReadinessURL
    private let timeout: Int64
    private let mark: UInt32?
    private let names: NameClient
    private let reactor: Reactor
    private var waiting: [(String?) -> Void] = []
    private var attempt: ReadinessAttempt?
    private var last: (problem: String?, at: Int64)?

    /// How long an answer serves, in microseconds.
    static let memory: Int64 = 1_000_000

    init(_ url: ReadinessURL, timeoutSeconds: Int, mark: UInt32?, names: NameClient, in reactor: Reactor) {
        self.url = url
        timeout = Int64(timeoutSeconds) * 1_000_000
        self.mark = mark
        self.names = names
        self.reactor = reactor
    }

    /// Answers with why the application is not ready, a sentence, or nil.
    func check(then done: @escaping (String?) -> Void) {
        if let last, reactor.now - last.at < ReadinessProbe.memory { return done(last.problem) }
        waiting.append(done)
        guard attempt == nil else { return }
        var target = ConnectTarget(
            destination: .host(url.host, port: url.port, names), options: .init(mark: mark),
            timeouts: ConnectTimeouts(connect: timeout, handshake: timeout))
        target.direction = .inbound
        do throws(ChannelError) {
            let attempt = ReadinessAttempt(url) { [unowned self] in settled($0) }
            try attempt.start(target, timeout: timeout, in: reactor)
            if !attempt.isOver { self.attempt = attempt }
        } catch {
            settled(error.sentence)
        }
    }

    private func settled(_ problem: String?) {
        attempt = nil
        let sentence = problem.map { "UPSTREAM_READINESS_URL (http://\(url.authority)\(url.path)): \($0)" }
        last = (sentence, reactor.now)
        var everybody: [(String?) -> Void] = []
        swap(&everybody, &waiting)
        for done in everybody { done(sentence) }
    }
}

/// One GET.
private final class ReadinessAttempt: ChannelUser {
    private let url: ReadinessURL
    private var done: ((String?) -> Void)?
    private var parser = ResponseParser()
    private var received: [UInt8] = []
    private var channel: Channel?
    private let limit = Deadline()
    private var reactor: Reactor?

    static let maximumHeadBytes = 16_384

    init(_ url: ReadinessURL, then done: @escaping (String?) -> Void) {
        self.url = url
        self.done = done
    }

    var isOver: Bool { done == nil }

    func start(_ target: ConnectTarget, timeout: Int64, in reactor: Reactor) throws(ChannelError) {
        let channel = try Channel(connectingTo: target, in: reactor)
        channel.user = self
        self.channel = channel
        let request = """
            GET \(url.path)\(url.query) HTTP/1.1\r
            host: \(url.authority)\r
            user-agent: sidecar-readiness\r
            connection: close\r
            \r

            """
        let bytes = Array(request.utf8)
        if case .failed(let error) = channel.write(bytes.span) { return finish(error.sentence) }
        self.reactor = reactor
        reactor.register(limit)
        limit.action = { [weak self] in self?.finish("no answer within READINESS_TIMEOUT_SECS") }
        reactor.setDeadline(limit, after: timeout)
    }

    override func channelReadable(_ channel: Channel) {
        var buffer = [UInt8](repeating: 0, count: 4_096)
        switch channel.read(into: &buffer) {
        case .bytes(let count): received.append(contentsOf: buffer[0..<count])
        case .wouldBlock: return
        case .end: return finish("the connection ended before the answer")
        case .failed(let error): return finish(error.sentence)
        }
        while true {
            let bytes = received
            switch parser.parse(bytes.span, resumingAt: 0, for: .get) {
            case .needsMore:
                if received.count > ReadinessAttempt.maximumHeadBytes { finish("the answer's head is too large") }
                return
            case .failed: return finish("the answer is not HTTP")
            case .complete: break
            }
            let status = parser.head.status
            guard status < 200 else { return finish((200..<300).contains(status) ? nil : "status \(status)") }
            received.removeFirst(parser.head.byteCount)
        }
    }

    override func channelFailed(_ channel: Channel, _ error: ChannelError) { finish(error.sentence) }

    private func finish(_ problem: String?) {
        guard let done = done.take() else { return }
        if limit.isRegistered { reactor?.deregister(limit) }
        channel?.close()
        channel = nil
        done(problem)
    }
}
