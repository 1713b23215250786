import ArgumentParser

struct InitCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "init", abstract: "Program the capture rules of this network namespace.")

    func run() throws {}
}
