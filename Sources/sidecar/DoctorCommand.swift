import ArgumentParser
import Glibc
import Manifest
import NetSetup
import Proxy

struct DoctorCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "doctor", abstract: "Say what keeps the sidecar of this pod from working, and how to fix it.",
        discussion:
            """
            Reads the environment, the certificates, the processes, the sockets and the kernel's rules, and changes nothing. \
            Run it in the sidecar's container; with the capability NET_ADMIN it can read the rules too. Exits 1 on a problem.
            """)

    @Option(help: "text, or json for machines.")
    var output = InitCommand.OutputFormat.text

    func run() throws {
        // With NET_RAW it can tell whether rules that it may not read are in force.
        try? Privileges.raise()
        let findings = DoctorCommand.findings()
        let report = DoctorReport(findings)
        do throws(FatalError) {
            try CommandFile.print(output == .text ? report.text : report.document.json)
        } catch {
            throw StandardError.end(error.sentences, error.exitCode)
        }
        if report.hasProblem { throw ExitCode(FatalError.ExitCode.failed.rawValue) }
    }

    private static func findings() -> [Diagnosis] {
        let configuration: Configuration
        do throws(FatalError) {
            configuration = try Environment.configuration()
        } catch {
            let problems = error.sentences.map {
                Diagnosis.problem(.configuration, $0, fix: "correct the environment of the sidecar's container")
            }
            let rest = Diagnosis.unknown(
                .configuration, "everything else depends on the configuration and was not looked at",
                fix: "correct it first, then run this again")
            return problems + [rest]
        }
        let now = Int64(time(nil))
        return [.ok(.configuration, "the environment is valid")] + ClockCheck.findings(now: now)
            + CertificateCheck.findings(configuration, now: now)
            + RunningProxyCheck.findings(configuration)
            + Doctor(Doctor.Expectation(configuration)).findings
    }
}

extension Doctor.Expectation {
    fileprivate init(_ configuration: Configuration) {
        var ports: [(port: UInt16, variable: String)] = []
        if let port = configuration.inbound.listenPort { ports.append((port, "TLS_LISTEN_PORT")) }
        if let port = configuration.outbound.proxyPort { ports.append((port, "OUTBOUND_PROXY_PORT")) }
        if let port = configuration.monitor.port { ports.append((port, "MONITOR_PORT")) }
        self.init(
            isTransparent: configuration.capture.isTransparent, settings: CaptureSettings(configuration), ports: ports)
    }
}
