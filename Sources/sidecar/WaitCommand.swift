import ArgumentParser
import Glibc
import Proxy

struct WaitCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "wait", abstract: "Wait until the sidecar of this pod is ready.",
        discussion:
            "For containers that must not start before it. Exits 75 when the time is over, with the last reasons.")

    @OptionGroup var monitor: MonitorOptions

    @Option(help: "Seconds to wait at most.")
    var timeout = 60

    func validate() throws {
        guard (0...86_400).contains(timeout) else { throw ValidationError("--timeout must be from 0 to 86400") }
    }

    private static let pauseMicroseconds: UInt32 = 200_000

    func run() throws {
        endAtSignals()
        let clock = ContinuousClock()
        let end = clock.now + .seconds(timeout)
        let client: MonitorClient
        do throws(FatalError) {
            client = try MonitorClient(port: monitor.port, seconds: max(1, min(5, timeout)))
        } catch {
            throw StandardError.end(error.sentences, error.exitCode)
        }
        while true {
            let reasons = client.obstacles("/ready")
            if reasons.isEmpty { return }
            if clock.now >= end {
                let head = "not ready after \(timeout) s"
                throw StandardError.end([head] + reasons, .temporaryFailure)
            }
            usleep(WaitCommand.pauseMicroseconds)
        }
    }

    /// As the first process of a container it would otherwise ignore them, and hold up the end of the pod.
    private func endAtSignals() {
        for number in [SIGTERM, SIGINT] {
            _ = signal(number) { _exit(128 + $0) }
        }
    }
}
