/// What the one who injects decides: the operator of the webhook, or the user of the command.
package struct InjectionSettings: Sendable {
    /// What makes a pod take part that says nothing itself.
    package enum OptIn: Sendable, Equatable {
        /// The command: naming the file is the opt-in.
        case everything
        /// The webhook: whether the pod's namespace has the label; nil where that is not known, so that a pod takes part
        /// only by its own annotation or label.
        case namespace(isEnabled: Bool?)
    }

    package var image = "localhost/sidecar:0.1.0"
    package var imagePullPolicy = "IfNotPresent"
    /// Whether the cluster runs init containers with `restartPolicy: Always` (Kubernetes 1.29 and newer).
    package var hasNativeSidecars = true
    /// For pods without the annotation `sidecar.mtls.dev/mode`.
    package var mode = InjectionMode.transparent
    /// For pods without the annotation `sidecar.mtls.dev/tls-secret`.
    package var tlsSecret = "sidecar-tls"
    /// For pods whose annotations say nothing else.
    package var resources = SidecarResources()
    package var optIn: OptIn
    /// What the status annotation names as the injector's version.
    package var version: String
    /// Says what is wrong with the sidecar's environment, a sentence each that names the variable. `Configuration.parse`
    /// is what should stand behind it; Injection itself does not know the proxy.
    package var problems: @Sendable (_ environment: [String: String]) -> [String]

    package init(
        optIn: OptIn, version: String, problems: @escaping @Sendable (_ environment: [String: String]) -> [String]
    ) {
        self.optIn = optIn
        self.version = version
        self.problems = problems
    }
}

extension InjectionSettings {
    /// An image's name as far as it is looked at: the API server looks no closer.
    package static func isImage(_ text: String) -> Bool {
        !text.isEmpty && text.unicodeScalars.allSatisfy { $0.isASCII && $0.value > 0x20 }
    }

    package static func isSecretName(_ text: String) -> Bool { KubernetesName.isSubdomain(text) }
}

/// How traffic reaches the proxy.
package enum InjectionMode: String, Sendable, CaseIterable {
    /// Captured in the kernel: the application needs no change.
    case transparent
    /// By its own ports, without any privilege.
    case explicit
}
