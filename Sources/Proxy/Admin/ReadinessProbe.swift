import Addressing

/// Asks the application whether it is ready: UPSTREAM_READINESS_URL. One answer serves everybody for a second.
final class ReadinessProbe {
    private let url: ReadinessURL
    private let timeout: Int64
    private let mark: UInt32?
    private let names: NameClient
    private let reactor: Reactor
    private var waiting: [(String?) -> Void] = []
    private var attempt: HTTPProbeAttempt?
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
        let attempt = HTTPProbeAttempt(
            request, passing: 200..<300, tooLate: "no answer within READINESS_TIMEOUT_SECS"
        ) { [unowned self] outcome in
            switch outcome {
            case .passed: settled(nil)
            case .failed(let problem): settled(problem)
            }
        }
        self.attempt = attempt
        attempt.start(target, timeout: timeout, in: reactor)
    }

    private var request: [UInt8] {
        Array(
            """
            GET \(url.path)\(url.query) HTTP/1.1\r
            host: \(url.authority)\r
            user-agent: sidecar-readiness\r
            connection: close\r
            \r

            """.utf8)
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
