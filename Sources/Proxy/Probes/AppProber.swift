import Addressing

/// Puts Kubernetes' questions to the application, for one thread. Who asks what is being asked already gets that answer:
/// whoever reaches the port makes one connection to the application per probe at a time, and no more.
final class AppProber {
    /// Questions that run at a time.
    static let maximumAtOnce = 32
    /// Said to the application unless the kubelet has said its own.
    static let userAgent = "kube-probe/sidecar"

    private final class Run {
        var waiting: [(ProbeOutcome) -> Void] = []
        var attempt: ProbeAttempt?
    }

    private let mark: UInt32?
    private let reactor: Reactor
    private var running: [String: Run] = [:]
    /// Made when the first question needs them.
    private lazy var library = HTTP2Library()
    private lazy var unverified = try? CurrentContext(TLSContext.unverifiedClient())

    /// - Parameter mark: of connections that are not to be captured.
    init(mark: UInt32?, in reactor: Reactor) {
        self.mark = mark
        self.reactor = reactor
    }

    /// Answers now or later.
    ///
    /// - Parameters:
    ///   - pod: the address under which the probe came, asked when loopback refuses.
    ///   - userAgent: the asker's own.
    func ask(
        _ probe: AppProbe, pod: IPAddress?, userAgent: String? = nil, then done: @escaping (ProbeOutcome) -> Void
    ) {
        if let run = running[probe.path] { return run.waiting.append(done) }
        guard running.count < AppProber.maximumAtOnce else {
            return done(.failed("\(AppProber.maximumAtOnce) probes are running already"))
        }
        let run = Run()
        run.waiting.append(done)
        running[probe.path] = run
        let asker = userAgent.flatMap(AppProber.kubelet) ?? AppProber.userAgent
        let answered = { [unowned self] outcome in finished(probe.path, outcome) }
        guard let attempt = attempt(probe, pod ?? .loopbackV4, asker, then: answered) else {
            return finished(probe.path, .failed("no memory"))
        }
        run.attempt = attempt
        attempt.start(target(probe, pod: pod), timeout: Int64(probe.timeoutSeconds) * 1_000_000, in: reactor)
    }

    private func finished(_ path: String, _ outcome: ProbeOutcome) {
        guard let run = running.removeValue(forKey: path) else { return }
        for done in run.waiting { done(outcome) }
    }

    private func attempt(
        _ probe: AppProbe, _ pod: IPAddress, _ userAgent: String, then done: @escaping (ProbeOutcome) -> Void
    ) -> ProbeAttempt? {
        let tooLate = "no answer within timeoutSeconds (\(probe.timeoutSeconds))"
        let authority = "\(Endpoint(pod, probe.port))"
        switch probe.action {
        case .http(let question):
            guard !question.isTLS || unverified != nil else { return nil }
            let request = question.request(authority: authority, userAgent: userAgent)
            return HTTPProbeAttempt(request, passing: 200..<400, tooLate: tooLate, then: done)
        case .tcp: return TCPProbeAttempt(tooLate: tooLate, then: done)
        case .grpc(_, let service):
            guard let library,
                let session = HTTP2Session(.client, library, maxHeadBytes: HTTPProbeAttempt.maximumHeadBytes)
            else { return nil }
            return GRPCProbeAttempt(
                session, service: service, authority: authority, userAgent: userAgent, tooLate: tooLate, then: done)
        }
    }

    /// Loopback first, since an application may listen there only; the pod's own address when it refuses.
    private func target(_ probe: AppProbe, pod: IPAddress?) -> ConnectTarget {
        var addresses: [IPAddress] = [.loopbackV4, .loopbackV6]
        if let pod, !addresses.contains(pod) { addresses.append(pod) }
        let timeout = Int64(probe.timeoutSeconds) * 1_000_000
        var target = ConnectTarget(
            endpoints: addresses.map { Endpoint($0, probe.port) }, options: .init(mark: mark),
            timeouts: ConnectTimeouts(connect: timeout, handshake: timeout), direction: .inbound)
        if case .http(let question) = probe.action, question.isTLS, let unverified {
            target.tls = TLSOrigination(context: unverified, verification: .chainOnly(sni: nil))
        }
        return target
    }

    /// Only what a kubelet says is passed on: anyone may ask.
    private static func kubelet(_ userAgent: String) -> String? {
        let name = "kube-probe/"
        guard userAgent.hasPrefix(name), userAgent.utf8.count <= 64 else { return nil }
        let isPlain = userAgent.utf8.dropFirst(name.utf8.count).allSatisfy { ByteClass.isToken($0) }
        return isPlain ? userAgent : nil
    }
}
