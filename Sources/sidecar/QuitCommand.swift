import ArgumentParser
import Proxy

struct QuitCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "quit", abstract: "Ask the sidecar of this pod to finish what it does and end.",
        discussion: "For Jobs: when the work is done, the pod should complete and not wait for its sidecar.")

    @OptionGroup var monitor: MonitorOptions

    @Option(help: "Seconds to wait for the answer.")
    var timeout = 5

    func validate() throws {
        guard (1...3_600).contains(timeout) else { throw ValidationError("--timeout must be from 1 to 3600") }
    }

    func run() throws {
        do throws(FatalError) {
            try MonitorClient(port: monitor.port, seconds: timeout).post("/quit")
        } catch {
            throw StandardError.end(error.sentences, error.exitCode)
        }
    }
}
