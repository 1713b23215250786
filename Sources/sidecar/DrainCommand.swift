import ArgumentParser
import Glibc

struct DrainCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "drain", abstract: "Ask the clients of this pod to go, and serve those that come all the same.",
        discussion: "For preStop hooks: the sidecar stays until it is told to end.")

    @OptionGroup var post: MonitorPost

    @Option(help: "Seconds to stay here afterwards, for a hook that holds back the signal to end.")
    var hold = 0

    func validate() throws {
        guard (0...3_600).contains(hold) else { throw ValidationError("--hold must be from 0 to 3600") }
    }

    func run() throws {
        try post.send("/drain")
        sleep(UInt32(hold))
    }
}
