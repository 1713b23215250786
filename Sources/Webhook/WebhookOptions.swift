package import Injection
package import Proxy

/// What `sidecar webhook` is to do, checked.
package struct WebhookOptions: Sendable {
    /// Where its certificate comes from.
    package enum Certificate: Sendable {
        /// A directory that somebody else keeps: `tls.crt` and `tls.key`.
        case directory(String)
        /// Its own, in a Secret.
        case own(OwnCertificate)
    }

    package var port: UInt16
    package var certificate: Certificate
    package var settings: InjectionSettings
    /// Log, monitor port, sandbox: the same variables as for `sidecar run`.
    package var log: Configuration.Log
    package var monitor: Configuration.Monitor
    package var isSandboxed: Bool
    /// From the signal to the end: the API server keeps connections open, and learns late that this replica goes.
    package var drainSeconds: Int
    package var version: String

    package init(
        port: UInt16, certificate: Certificate, settings: InjectionSettings, configuration: Configuration,
        drainSeconds: Int, version: String
    ) {
        self.port = port
        self.certificate = certificate
        self.settings = settings
        log = configuration.log
        monitor = configuration.monitor
        isSandboxed = configuration.isSandboxed
        self.drainSeconds = drainSeconds
        self.version = version
    }
}

/// How the webhook keeps a certificate of its own.
package struct OwnCertificate: Sendable {
    /// Where the API server is and how to be let in.
    package var account: ServiceAccount
    package var namespace: String
    /// Names of the objects in the cluster.
    package var secret: String
    package var service: String
    package var registration: String
    /// nil to leave it as the manifest has it.
    package var failurePolicy: FailurePolicy?
    package var leafSeconds: Int64
    package var authoritySeconds: Int64
    /// Between two looks at the cluster.
    package var checkSeconds: Int

    /// Three months: renewed after two.
    package static let usualLeafSeconds: Int64 = 90 * 86_400
    /// Ten years.
    package static let usualAuthoritySeconds: Int64 = 3_650 * 86_400
    package static let usualCheckSeconds = 60

    package init(account: ServiceAccount, namespace: String, secret: String, service: String, registration: String) {
        self.account = account
        self.namespace = namespace
        self.secret = secret
        self.service = service
        self.registration = registration
        failurePolicy = nil
        leafSeconds = OwnCertificate.usualLeafSeconds
        authoritySeconds = OwnCertificate.usualAuthoritySeconds
        checkSeconds = OwnCertificate.usualCheckSeconds
    }

    /// What the API server calls it.
    package var serverName: String { "\(service).\(namespace).svc" }
}

/// What becomes of a pod when the webhook does not answer.
package enum FailurePolicy: String, Sendable, CaseIterable {
    /// It is refused: no pod starts in plain text by accident.
    case fail
    /// It starts without the sidecar.
    case ignore

    /// As Kubernetes spells it.
    package var name: String {
        switch self {
        case .fail: "Fail"
        case .ignore: "Ignore"
        }
    }
}
