import ArgumentParser
import Glibc
import Proxy

@main
struct Sidecar: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "sidecar",
        abstract: "Mutual TLS for a pod, without touching its application.",
        discussion: "Settings come from the environment; see docs/configuration.md.",
        version: Version.text,
        subcommands: [
            RunCommand.self, InitCommand.self, CertsCommand.self, DoctorCommand.self, ProbeCommand.self,
            WaitCommand.self, DrainCommand.self, QuitCommand.self, InjectCommand.self, WebhookCommand.self,
        ],
        defaultSubcommand: RunCommand.self)

    /// ArgumentParser's exit code for wrong usage is 64; this program's is 2.
    static func main() {
        StandardDescriptors.open()
        do {
            var command = try parseAsRoot()
            try command.run()
        } catch {
            let code = exitCode(for: error)
            guard code == .validationFailure else { exit(withError: error) }
            StandardError.write(fullMessage(for: error) + "\n")
            Glibc.exit(2)
        }
    }
}

enum Version {
    static let text = "0.1.0"
}
