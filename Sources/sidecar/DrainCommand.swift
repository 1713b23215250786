import ArgumentParser
import Glibc
import Proxy

struct DrainCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "drain", abstract: "Ask the clients of this pod to go, and serve those that come all the same.",
        discussion: "For preStop hooks: the sidecar stays until it is told to end.")

    @OptionGroup var monitor: MonitorOptions

    @Option(help: "Seconds to wait for the answer.")
    var timeout = 5

    @Option(help: "Seconds to stay here afterwards, for a hook that holds back the signal to end.")
    var hold = 0

    func validate() throws {
        guard (1...3_600).contains(timeout) else { throw ValidationError("--timeout must be from 1 to 3600") }
        guard (0...3_600).contains(hold) else { throw ValidationError("--hold must be from 0 to 3600") }
    }

    func run() throws {
        do throws(FatalError) {
            try MonitorClient(port: monitor.port, seconds: timeout).post("/drain")
        } catch {
            throw StandardError.end(error.sentences, error.exitCode)
        }
        sleep(UInt32(hold))
    }
}
