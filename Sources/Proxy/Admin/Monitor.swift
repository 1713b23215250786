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
    var handshakes = HandshakeRing()
    var readiness: ReadinessProbe?

    /// Asks clients to go; the process stays.
    var drain: () -> Void = {}
    /// Drains, then ends the process.
    var quit: () -> Void = {}
    var setLogLevel: (Configuration.LogLevel) -> Void = { _ in }

    init(_ configuration: Configuration, health: Health, surveys: WorkerSurveys, sink: LogSink, version: String) {
        self.configuration = configuration
        self.health = health
        self.surveys = surveys
        self.sink = sink
        self.version = version
    }

    /// Answers with why the pod should get no traffic, at once or when the application has said its part.
    func obstacles(then done: @escaping ([String]) -> Void) {
        let own = health.obstacles(at: linux_wall_microseconds() / 1_000_000)
        guard let readiness else { return done(own) }
        readiness.check { problem in done(own + [problem].compactMap { $0 }) }
    }
}
