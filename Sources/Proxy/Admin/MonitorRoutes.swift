import Addressing
import CLinux

/// What the monitor port answers to which request.
final class MonitorRoutes {
    private let monitor: Monitor

    init(_ monitor: Monitor) { self.monitor = monitor }

    private static let known = """
        no such path: /live, /ready, /metrics, /config, /certs, /handshakes, /connections, /flows, /sandbox, /app-health/…, \
        POST /drain, POST /quit, PUT /loglevel
        """

    /// Answers now or later.
    func handle(_ request: MonitorRequest, _ connection: MonitorConnection) {
        switch request.path {
        case "/live": read(request, connection) { connection.answer(MonitorAnswer(200, "ok")) }
        case "/ready": read(request, connection) { ready(connection) }
        case "/metrics": read(request, connection) { metrics(connection) }
        case "/config":
            read(request, connection) { connection.answer(MonitorAnswer(monitor.configuration.document())) }
        case "/certs": read(request, connection) { connection.answer(MonitorAnswer(certificates())) }
        case "/handshakes":
            read(request, connection) { connection.answer(MonitorAnswer(monitor.handshakes.document())) }
        case "/connections": read(request, connection) { connections(connection) }
        case "/flows": read(request, connection) { flows(request, connection) }
        case "/sandbox": read(request, connection) { connection.answer(MonitorAnswer(monitor.fences.document)) }
        case "/drain":
            change(request, connection, by: .post) {
                monitor.drain()
                return MonitorAnswer(200, "draining")
            }
        case "/quit":
            change(request, connection, by: .post) {
                monitor.quit()
                return MonitorAnswer(200, "ending")
            }
        case "/loglevel": change(request, connection, by: .put) { logLevel(request.body) }
        case let path where path.hasPrefix("/app-health/"):
            read(request, connection) { appHealth(request, connection) }
        case _: connection.answer(MonitorAnswer(404, MonitorRoutes.known))
        }
    }

    private func read(_ request: MonitorRequest, _ connection: MonitorConnection, _ answer: () -> Void) {
        switch request.method {
        case .get, .head: answer()
        case .post, .put, .delete, .options, .connect, .trace, .patch, .other:
            connection.answer(MonitorAnswer.use("GET, HEAD"))
        }
    }

    /// Whoever is in the pod may change the process; the network, and pages in a browser, may only look at it.
    private func change(
        _ request: MonitorRequest, _ connection: MonitorConnection, by method: Method, _ act: () -> MonitorAnswer
    ) {
        guard request.method == method else {
            return connection.answer(MonitorAnswer.use(method == .put ? "PUT" : "POST"))
        }
        guard request.peer.address.isLoopback else {
            return connection.answer(MonitorAnswer(403, "this is answered on loopback only"))
        }
        guard !request.mayBeOfAPage else {
            return connection.answer(
                MonitorAnswer(
                    403, "this is not answered to pages of a browser: ask with the host localhost and no origin"))
        }
        connection.answer(act())
    }

    // MARK: pages

    private func ready(_ connection: MonitorConnection) {
        if monitor.readiness != nil {
            connection.allow(microseconds: Int64(monitor.configuration.monitor.readinessTimeout) * 1_000_000)
        }
        monitor.obstacles { [monitor] obstacles in
            let lines = (obstacles.isEmpty ? ["ok"] : obstacles) + monitor.remarks.map { "warning: \($0)" }
            connection.answer(MonitorAnswer(obstacles.isEmpty ? 200 : 503, lines.joined(separator: "\n")))
        }
    }

    /// The application's own probe, made from here: the kubelet cannot, where only mTLS is let in.
    private func appHealth(_ request: MonitorRequest, _ connection: MonitorConnection) {
        guard let probe = monitor.configuration.appProbes[request.path] else {
            return connection.answer(MonitorAnswer(404, "APP_PROBES does not list \(HostName.printable(request.path))"))
        }
        connection.allow(microseconds: Int64(probe.timeoutSeconds) * 1_000_000)
        monitor.ask(probe, pod: connection.local?.address, userAgent: request.userAgent) { outcome in
            switch outcome {
            case .passed(let sentence): connection.answer(MonitorAnswer(200, sentence))
            case .failed(let sentence): connection.answer(MonitorAnswer(503, sentence))
            }
        }
    }

    private func metrics(_ connection: MonitorConnection) {
        guard monitor.configuration.monitor.hasMetrics else {
            return connection.answer(MonitorAnswer(404, "metrics are off: set ENABLE_METRICS=true"))
        }
        monitor.surveys.count { [monitor] counters in
            let now = linux_wall_microseconds() / 1_000_000
            let page = MetricsPage(
                counters: counters, expiries: monitor.expiries, reloads: monitor.reloads,
                droppedLogLines: UInt64(monitor.sink.droppedLines), droppedFlows: monitor.flows.dropped,
                isReady: monitor.health.obstacles(at: now).isEmpty, isDraining: monitor.health.isDraining,
                version: monitor.version, process: ProcessUsage.now())
            connection.answer(MonitorAnswer(.metrics, page.text()))
        }
    }

    private func certificates() -> JSONWriter {
        (monitor.material ?? TLSMaterial.none)
            .document(reloads: monitor.reloads, at: linux_wall_microseconds() / 1_000_000)
    }

    private func connections(_ connection: MonitorConnection) {
        monitor.surveys.describe { byWorker, omitted in
            connection.answer(MonitorAnswer(ConnectionDescription.document(byWorker, omitted: omitted)))
        }
    }

    private func flows(_ request: MonitorRequest, _ connection: MonitorConnection) {
        do throws(FlowFilter.Malformed) {
            guard let subscription = monitor.flows.subscribe(try FlowFilter(request.query)) else {
                return connection.answer(MonitorAnswer(503, "\(FlowHub.maximumListeners) readers listen already"))
            }
            connection.stream(subscription)
        } catch {
            connection.answer(MonitorAnswer(400, error.sentence))
        }
    }

    private func logLevel(_ body: [UInt8]) -> MonitorAnswer {
        let start = body.firstIndex { $0 > 0x20 } ?? body.endIndex
        let end = body.lastIndex { $0 > 0x20 } ?? start - 1
        let word = String(decoding: body[start..<end + 1], as: UTF8.self)
        guard let level = Configuration.LogLevel(rawValue: word) else {
            let names = Configuration.LogLevel.allCases.map(\.rawValue).joined(separator: ", ")
            return MonitorAnswer(400, "send one of \(names)")
        }
        monitor.setLogLevel(level)
        return MonitorAnswer(200, level.rawValue)
    }
}
