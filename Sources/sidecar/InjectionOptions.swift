import ArgumentParser
import Injection
import Proxy

/// What `sidecar inject` and `sidecar webhook` are told of the sidecar that they add.
struct InjectionOptions: ParsableArguments {
    @Option(help: "The sidecar's image.")
    var image = "localhost/sidecar:\(Version.text)"

    @Option(help: "When the image is pulled: Always, IfNotPresent or Never.")
    var imagePullPolicy = PullPolicy.IfNotPresent

    @Flag(
        inversion: .prefixedNo, help: "Init containers that run beside the application: Kubernetes 1.29 and newer.")
    var nativeSidecars = true

    @Option(help: "How traffic reaches the sidecar where no annotation says it: transparent or explicit.")
    var mode = InjectionMode.transparent

    @Option(help: "The Secret with tls.crt, tls.key and ca.crt where no annotation names one.")
    var tlsSecret = "sidecar-tls"

    enum PullPolicy: String, ExpressibleByArgument, CaseIterable { case Always, IfNotPresent, Never }

    func validate() throws {
        guard InjectionSettings.isImage(image) else {
            throw ValidationError("--image is \"\(image)\" and must be the name of an image")
        }
        guard InjectionSettings.isSecretName(tlsSecret) else {
            throw ValidationError("--tls-secret is \"\(tlsSecret)\" and must be the name of a Secret")
        }
    }

    func settings(optIn: InjectionSettings.OptIn) -> InjectionSettings {
        var settings = InjectionSettings(
            optIn: optIn, version: Version.text, problems: InjectionOptions.problems)
        settings.image = image
        settings.imagePullPolicy = imagePullPolicy.rawValue
        settings.hasNativeSidecars = nativeSidecars
        settings.mode = mode
        settings.tlsSecret = tlsSecret
        return settings
    }

    /// What the proxy would say of an environment.
    @Sendable private static func problems(_ environment: [String: String]) -> [String] {
        do throws(ConfigurationProblems) {
            _ = try Configuration.parse(environment)
            return []
        } catch {
            return error.sentences
        }
    }
}

extension InjectionMode: ExpressibleByArgument {}
