import Manifest
import NetSetup
import Proxy

/// What the running proxy says of itself on its monitor port, and whether it was told what this command was told.
struct RunningProxyCheck {
    private let configuration: Configuration
    private let client: MonitorClient

    /// Seconds for an answer: more than a prober of the kubelet would wait.
    private static let patience = 3

    static func findings(_ configuration: Configuration) -> [Diagnosis] {
        guard let port = configuration.monitor.port else {
            return [
                .unknown(
                    .readiness, "MONITOR_PORT=0: the proxy cannot be asked whether it is ready and what fences it has",
                    fix: "give it a monitor port")
            ]
        }
        // `/ready` may wait for the application.
        let application = configuration.monitor.upstreamReadiness == nil ? 0 : configuration.monitor.readinessTimeout
        let client = MonitorClient(port: port, seconds: patience + application)
        return RunningProxyCheck(configuration: configuration, client: client).findings
    }

    /// Nothing where nobody listens: that is said of the sockets.
    private var findings: [Diagnosis] {
        do throws(MonitorClient.Failure) {
            let readiness = readiness(try client.ask("GET", "/ready"))
            let running = try document("/config", with: "MONITOR_PORT")
            return difference(running) + readiness + [sandbox(try document("/sandbox", with: "gaps"))]
        } catch {
            if error.isRefusal { return [] }
            return [
                .problem(
                    .readiness, error.sentence,
                    fix: "see whether the proxy is stopped or starved of CPU, or another program has the port")
            ]
        }
    }

    private func document(
        _ path: String, with member: String
    ) throws(MonitorClient.Failure) -> ManifestObject {
        let answer = try client.ask("GET", path)
        guard answer.status == 200, let document = try? JSONReader.read(Array(answer.body.utf8)),
            let object = document.object, object[member] != nil
        else {
            throw MonitorClient.Failure(
                sentence: "what answers on the monitor port 127.0.0.1:\(client.port) is no sidecar of this version: it "
                    + "does not know \(path)")
        }
        return object
    }

    private func readiness(_ answer: MonitorClient.Answer) -> [Diagnosis] {
        let mark = "warning: "
        let lines = answer.body.split(separator: "\n").map(String.init)
        let warnings = lines.filter { $0.hasPrefix(mark) }.map { String($0.dropFirst(mark.count)) }
        let verdict: [Diagnosis] =
            answer.status == 200
            ? [.ok(.readiness, "the proxy says that it is ready")]
            : lines.filter { !$0.hasPrefix(mark) }.map {
                .problem(
                    .readiness, "the proxy is not ready: \($0)",
                    fix: "the other findings may say more; docs/monitoring.md has what /ready looks at")
            }
        return verdict
            + warnings.map {
                .warning(.readiness, "the proxy warns: \($0)", fix: "docs/certificates.md says what a reload needs")
            }
    }

    /// All else here is judged by this command's environment: it should be the proxy's.
    private func difference(_ running: ManifestObject) -> [Diagnosis] {
        let mine = configuration.effective.filter { !RunningProxyCheck.perProcess.contains($0.0) }
        let different = mine.filter { running[$0.0]?.string != $0.1 }.map(\.0)
        guard !different.isEmpty else { return [] }
        return [
            .warning(
                .configuration,
                "the running proxy has other values of \(different.joined(separator: ", ")) than this command's environment",
                fix:
                    "run this in the sidecar's own container (kubectl exec), or with the proxy's environment; /config shows it"
            )
        ]
    }

    /// Defaults that depend on what a process may use.
    private static let perProcess = ["WORKER_THREADS"]

    private func sandbox(_ fences: ManifestObject) -> Diagnosis {
        let gaps = fences["gaps"]?.array?.compactMap(\.string) ?? []
        guard !gaps.isEmpty else {
            return .ok(
                .sandbox,
                "the proxy has closed itself in: few files to read, none to write; fewer system calls; no core dumps")
        }
        return .warning(
            .sandbox, "the proxy has not closed itself in altogether: \(gaps.joined(separator: "; "))",
            fix: "docs/security.md says what each fence needs of the kernel and the container runtime")
    }
}
