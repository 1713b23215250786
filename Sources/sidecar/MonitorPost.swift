import ArgumentParser
import Proxy

/// What commands take that have the sidecar of this pod do something.
struct MonitorPost: ParsableArguments {
    @OptionGroup var monitor: MonitorOptions

    @Option(help: "Seconds to wait for the answer.")
    var timeout = 5

    func validate() throws {
        guard (1...3_600).contains(timeout) else { throw ValidationError("--timeout must be from 1 to 3600") }
    }

    /// Returns when the sidecar has said yes; anything else ends the command.
    func send(_ path: String) throws {
        do throws(FatalError) {
            try MonitorClient(port: monitor.port, seconds: timeout).post(path)
        } catch {
            throw StandardError.end(error.sentences, error.exitCode)
        }
    }
}
