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

    @Option(help: "The sidecar's image.")
    var image = "localhost/sidecar:0.1.0"

    @Option(help: "When the image is pulled: Always, IfNotPresent or Never.")
    var imagePullPolicy = PullPolicy.IfNotPresent

    @Flag(
        inversion: .prefixedNo, help: "Init containers that run beside the application: Kubernetes 1.29 and newer.")
    var nativeSidecars = true

    @Option(help: "How traffic reaches the sidecar where no annotation says it: transparent or explicit.")
    var mode = Mode.transparent

    @Option(help: "The Secret with tls.crt, tls.key and ca.crt where no annotation names one.")
    var tlsSecret = "sidecar-tls"

    @Flag(help: "Add a Service for the mTLS port of each workload in the explicit mode.")
    var service = false

    enum PullPolicy: String, ExpressibleByArgument, CaseIterable { case Always, IfNotPresent, Never }
    enum Mode: String, ExpressibleByArgument, CaseIterable { case transparent, explicit }

    func run() throws {
        do throws(FatalError) {
            let (result, reports) = FileInjection(Injector(settings), wantsServices: service).inject(
                into: try CommandFile.read(file))
            for report in reports { StandardError.write(report.text + "\n") }
            guard !reports.contains(where: \.isRefusal) else {
                throw FatalError("\(CommandFile.name(file)) is refused: see above; nothing was written")
            }
            try CommandFile.write(result, to: output)
        } catch {
            throw StandardError.end(error.sentences, error.exitCode)
        }
    }

    private var settings: InjectionSettings {
        var settings = InjectionSettings(optIn: .everything, version: Version.text, problems: Self.problems)
        settings.image = image
        settings.imagePullPolicy = imagePullPolicy.rawValue
        settings.hasNativeSidecars = nativeSidecars
        settings.mode =
            switch mode {
            case .transparent: .transparent
            case .explicit: .explicit
            }
        settings.tlsSecret = tlsSecret
        return settings
    }

    /// What the proxy would say of an environment.
    @Sendable static func problems(_ environment: [String: String]) -> [String] {
        do throws(ConfigurationProblems) {
            _ = try Configuration.parse(environment)
            return []
        } catch {
            return error.sentences
        }
    }
}
