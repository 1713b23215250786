import Addressing

/// Puts Kubernetes' questions to the application, for one thread. Who asks what is being asked already gets that answer:
/// whoever reaches the port makes one connection to the application per probe at a time, and no more.
final class AppProber {
    /// Questions that run at a time.
    static let maximumAtOnce = 32
    /// Said to the application unless the kubelet has said its own.
    static let userAgent = "kube-probe/sidecar"

    /// A question on its way, and who waits for the answer.
    private final class Run {
        let probe: AppProbe
        let pod: IPAddress?
        let userAgent: String
        /// By the monotonic clock.
        let endsAt: Int64
        /// What is asked by HTTP; redirects change it.
        var question: HTTPQuestion?
        var redirects = 0
        var waiting: [(ProbeOutcome) -> Void] = []
        var attempt: ProbeAttempt?

        init(_ probe: AppProbe, pod: IPAddress?, userAgent: String, endsAt: Int64) {
            self.probe = probe
            self.pod = pod
            self.userAgent = userAgent
            self.endsAt = endsAt
            if case .http(let question) = probe.action { self.question = question }
        }

        var address: IPAddress { pod ?? .loopbackV4 }
        var port: UInt16 { question?.port ?? probe.port }
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
        let run = Run(
            probe, pod: pod, userAgent: userAgent.flatMap(AppProber.kubelet) ?? AppProber.userAgent,
            endsAt: reactor.now + Int64(probe.timeoutSeconds) * 1_000_000)
        run.waiting.append(done)
        running[probe.path] = run
        attempt(run)
    }

    private func attempt(_ run: Run) {
        let timeout = max(0, run.endsAt - reactor.now)
        let made = make(run) { [unowned self] outcome in attempted(run, outcome) }
        guard let made else { return finish(run, .failed("no memory")) }
        run.attempt = made
        made.start(target(run, timeout), timeout: timeout, in: reactor)
    }

    private func attempted(_ run: Run, _ outcome: ProbeOutcome) {
        let location = (run.attempt as? HTTPProbeAttempt)?.location
        run.attempt = nil
        guard case .passed = outcome, let location, let question = run.question else { return finish(run, outcome) }
        switch Redirect.from(question, to: location, pod: run.address) {
        case .elsewhere: finish(run, outcome)
        case .malformed: finish(run, .failed("\(outcome.sentence), whose Location is malformed"))
        case .to(let next):
            run.redirects += 1
            guard run.redirects <= Redirect.maximum else {
                return finish(run, .failed("more than \(Redirect.maximum) redirects, the last by \(outcome.sentence)"))
            }
            run.question = next
            attempt(run)
        }
    }

    private func finish(_ run: Run, _ outcome: ProbeOutcome) {
        running[run.probe.path] = nil
        for done in run.waiting { done(outcome) }
    }

    private func make(_ run: Run, then done: @escaping (ProbeOutcome) -> Void) -> ProbeAttempt? {
        let tooLate = "no answer within timeoutSeconds (\(run.probe.timeoutSeconds))"
        let authority = "\(Endpoint(run.address, run.port))"
        switch run.probe.action {
        case .http(let listed):
            let question = run.question ?? listed
            guard !question.isTLS || unverified != nil else { return nil }
            let request = question.request(authority: authority, userAgent: run.userAgent)
            return HTTPProbeAttempt(request, passing: 200..<400, tooLate: tooLate, then: done)
        case .tcp: return TCPProbeAttempt(tooLate: tooLate, then: done)
        case .grpc(_, let service):
            guard let library,
                let session = HTTP2Session(.client, library, maxHeadBytes: HTTPProbeAttempt.maximumHeadBytes)
            else { return nil }
            return GRPCProbeAttempt(
                session, service: service, authority: authority, userAgent: run.userAgent, tooLate: tooLate, then: done)
        }
    }

    /// Loopback first, since an application may listen there only; the pod's own address when it refuses.
    private func target(_ run: Run, _ timeout: Int64) -> ConnectTarget {
        var addresses: [IPAddress] = [.loopbackV4, .loopbackV6]
        if let pod = run.pod, !addresses.contains(pod) { addresses.append(pod) }
        var target = ConnectTarget(
            endpoints: addresses.map { Endpoint($0, run.port) }, options: .init(mark: mark),
            timeouts: ConnectTimeouts(connect: timeout, handshake: timeout), direction: .inbound)
        if let question = run.question, question.isTLS, let unverified {
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
