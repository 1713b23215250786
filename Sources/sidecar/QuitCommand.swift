import ArgumentParser

struct QuitCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "quit", abstract: "Ask the sidecar of this pod to finish what it does and end.",
        discussion: "For Jobs: when the work is done, the pod should complete and not wait for its sidecar.")

    @OptionGroup var post: MonitorPost

    func run() throws { try post.send("/quit") }
}
