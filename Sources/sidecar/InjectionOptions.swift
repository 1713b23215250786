import ArgumentParser
import Injection
import Proxy

/// What every command that injects takes.
struct InjectionOptions: ParsableArguments {
    @Option(help: "The image of the sidecar.")
    var image = "localhost/sidecar:\(Version.text)"

    @Option(help: "When nodes fetch it: Always, IfNotPresent or Never.")
    var imagePullPolicy = "IfNotPresent"

    @Flag(
        inversion: .prefixedNo, help: "The cluster runs init containers with restartPolicy: Always (Kubernetes 1.29).")
    var nativeSidecars = true

    @Option(help: "For pods without the annotation: transparent or explicit.")
    var mode = InjectionMode.transparent

    @Option(help: "The Secret with the certificates, for pods without the annotation.")
    var tlsSecret = "sidecar-tls"

    func validate() throws {
        guard ["Always", "IfNotPresent", "Never"].contains(imagePullPolicy) else {
            throw ValidationError("--image-pull-policy must be Always, IfNotPresent or Never")
        }
    }

    func settings(optIn: InjectionSettings.OptIn) -> InjectionSettings {
        var settings = InjectionSettings(optIn: optIn, version: Version.text) { environment in
            do throws(ConfigurationProblems) {
                _ = try Configuration.parse(environment)
                return []
            } catch {
                return error.sentences
            }
        }
        settings.image = image
        settings.imagePullPolicy = imagePullPolicy
        settings.hasNativeSidecars = nativeSidecars
        settings.mode = mode
        settings.tlsSecret = tlsSecret
        return settings
    }
}

extension InjectionMode: ExpressibleByArgument {}
