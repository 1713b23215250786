import Addressing
import CLinux
import Logging

/// What the monitor port knows of the process, and what it may do to it. It belongs to the control thread, which feeds
/// it.
final class Monitor {
    let configuration: Configuration
    let health: Health
    let surveys: WorkerSurveys
    let flows = FlowHub()
    let sink: LogSink
    let version: String
    /// The certificates in force; nil before the start.
    var material: TLSMaterial? {
        didSet {
            expiries = material?.expiries ?? [:]
            health.expiry = material?.expiry(usesClient: CertificateSource(configuration).usesClient)
        }
    }
    /// When these expire.
    private(set) var expiries: [CertificateRole: CertificateExpiry] = [:]
    /// How they got there.
    var certificates: MaterialStatus?
    var reloads: ReloadStatus {
        guard let certificates else { return ReloadStatus() }
        return ReloadStatus(
            successes: certificates.reloads, failures: certificates.failures,
            failuresByReason: certificates.failuresByReason, problems: certificates.problems.map(\.sentence))
    }
    /// What an operator should know although traffic may come, one sentence each.
    var remarks: [String] { certificates?.remarks(linux_wall_microseconds() / 1_000_000) ?? [] }
    var fences = Fences.none
    var handshakes = HandshakeRing()
    var readiness: ReadinessProbe?
    let prober: AppProber

    /// Asks clients to go; the process stays.
    var drain: () -> Void = {}
    /// Drains, then ends the process.
    var quit: () -> Void = {}
    /// Hears what the application has said to its probes.
    var probed: (AppProbe, ProbeOutcome) -> Void = { _, _ in }
    var setLogLevel: (Configuration.LogLevel) -> Void = { _ in }

    init(
        _ configuration: Configuration, health: Health, surveys: WorkerSurveys, prober: AppProber, sink: LogSink,
        version: String
    ) {
        self.prober = prober
        self.configuration = configuration
        self.health = health
        self.surveys = surveys
        self.sink = sink
        self.version = version
    }

    /// Answers with why the pod should get no traffic, at once or when the application has said its part.
    func obstacles(then done: @escaping ([String]) -> Void) {
        guard let readiness else { return done(ownObstacles) }
        readiness.check { [unowned self] problem in done(ownObstacles + [problem].compactMap { $0 }) }
    }

    private var ownObstacles: [String] {
        health.obstacles(at: linux_wall_microseconds() / 1_000_000)
    }

    /// Answers with what the application says to its probe.
    func ask(
        _ probe: AppProbe, pod: IPAddress?, userAgent: String?, then done: @escaping (ProbeOutcome) -> Void
    ) {
        prober.ask(probe, pod: pod, userAgent: userAgent) { [probed] outcome in
            probed(probe, outcome)
            done(outcome)
        }
    }
}
