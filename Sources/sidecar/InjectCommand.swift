import ArgumentParser
import Glibc
import Injection
import Proxy

struct InjectCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "inject", abstract: "Add the sidecar to the workloads of a manifest.",
        discussion: """
            Prints the manifest with the sidecar in every workload that its annotations do not leave out, and every other \
            document as it is; what was done goes to standard error. If something is refused, nothing is printed and the \
            exit code is 1: sidecar inject -f app.yaml | kubectl apply -f -
            """)

    @Option(
        name: [.customShort("f"), .customLong("filename")], help: "The manifest, YAML or JSON; - is standard input.")
    var file: String

    @Option(name: [.customShort("o"), .customLong("output")], help: "A file to write to instead of standard output.")
    var output: String?

    @OptionGroup var injection: InjectionOptions

    @Flag(help: "Add a Service for the mTLS port of each workload in the explicit mode.")
    var service = false

    func run() throws {
        do throws(FatalError) {
            let injector = Injector(injection.settings(optIn: .everything))
            let (result, reports) = FileInjection(injector, wantsServices: service)
                .inject(into: try CommandFile.read(file))
            for report in reports { StandardError.write(report.text + "\n") }
            guard !reports.contains(where: \.isRefusal) else {
                throw FatalError("\(CommandFile.name(file)) is refused: see above; nothing was written")
            }
            try CommandFile.write(result, to: output)
        } catch {
            throw StandardError.end(error.sentences, error.exitCode)
        }
    }
}
