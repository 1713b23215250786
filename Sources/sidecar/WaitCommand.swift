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

    private static let pause = Duration.milliseconds(200)
    /// One try takes this long at most, so that a port which has gone silent is asked again.
    private static let trySeconds = 5
    /// Less is no time for an answer: what is known then is the last word.
    private static let shortestTry = Duration.milliseconds(100)

    func run() throws {
        endAtSignals()
        let clock = ContinuousClock()
        let end = clock.now + .seconds(timeout)
        var client: MonitorClient
        do throws(FatalError) {
            client = try MonitorClient(port: monitor.port, seconds: WaitCommand.trySeconds)
        } catch {
            throw StandardError.end(error.sentences, error.exitCode)
        }
        client.limit = timeout == 0 ? .seconds(1) : min(client.limit, .seconds(timeout))
        while true {
            let reasons = client.obstacles("/ready")
            if reasons.isEmpty { return }
            let left = end - clock.now
            guard left > WaitCommand.shortestTry else {
                WaitCommand.sleep(left)
                throw StandardError.end(["not ready after \(timeout) s"] + reasons, .temporaryFailure)
            }
            WaitCommand.sleep(min(WaitCommand.pause, left - WaitCommand.shortestTry))
            client.limit = min(.seconds(WaitCommand.trySeconds), end - clock.now)
        }
    }

    private static func sleep(_ time: Duration) {
        if time > .zero { usleep(UInt32(time / .microseconds(1))) }
    }

    /// As the first process of a container it would otherwise ignore them, and hold up the end of the pod.
    private func endAtSignals() {
        for number in [SIGTERM, SIGINT] {
            _ = signal(number) { _exit(128 + $0) }
        }
    }
}
