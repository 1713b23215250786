import ArgumentParser
import Glibc
import Injection
import Logging
import Proxy
import Webhook

struct WebhookCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "webhook", abstract: "Add the sidecar to new pods, as a mutating admission webhook.",
        discussion:
            """
            Runs in the cluster (docs/webhook.md). Log, monitor port and sandbox are set by the environment, as for `run`.
            """)

    @Option(help: "The port for reviews.")
    var port: UInt16 = 8443

    @Option(help: "Take tls.crt and tls.key from this directory, and leave the cluster's objects alone.")
    var tlsDir: String?

    @Option(help: "The namespace of the webhook; else POD_NAMESPACE, else the service account's.")
    var namespace: String?

    @Option(help: "The Secret that holds the webhook's own certificate.")
    var secret = "sidecar-webhook"

    @Option(help: "The Service under which the API server reaches the webhook.")
    var service = "sidecar-webhook"

    @Option(help: "The MutatingWebhookConfiguration whose caBundle is kept.")
    var registration = "sidecar-webhook"

    @Option(help: "Set failurePolicy of the registration: fail or ignore; else it stays as the manifest has it.")
    var failurePolicy: FailurePolicy?

    @Option(help: "How long the webhook's certificate is valid, as 90d, 12h, 30m or 600s; it is renewed at two thirds.")
    var certificateLifetime = Lifetime(seconds: OwnCertificate.usualLeafSeconds)

    @Option(help: "How long the webhook's authority is valid.")
    var authorityLifetime = Lifetime(seconds: OwnCertificate.usualAuthoritySeconds)

    @Option(help: "Seconds between two looks at the Secret and the registration.")
    var checkSeconds = OwnCertificate.usualCheckSeconds

    @Option(help: "Where the service account's token and ca.crt are.")
    var serviceAccountDir = ServiceAccount.usualDirectory

    @Option(help: "Seconds from SIGTERM to the end.")
    var drainSeconds = 5

    @OptionGroup var injection: InjectionOptions

    func validate() throws {
        guard port != 0 else { throw ValidationError("--port must be from 1 to 65535") }
        guard (1...86_400).contains(checkSeconds) else {
            throw ValidationError("--check-seconds must be from 1 to 86400")
        }
        guard (0...3_600).contains(drainSeconds) else {
            throw ValidationError("--drain-seconds must be from 0 to 3600")
        }
        guard authorityLifetime.seconds >= certificateLifetime.seconds else {
            throw ValidationError("--authority-lifetime must not be shorter than --certificate-lifetime")
        }
    }

    func run() throws {
        ProcessSignals.webhook.prepare()
        try LoggedRun.run { (configuration, logger, sink) throws(FatalError) in
            let options = WebhookOptions(
                port: port, certificate: try certificate(),
                settings: injection.settings(optIn: .namespace(isEnabled: nil)),
                configuration: configuration, drainSeconds: drainSeconds, version: Version.text)
            try WebhookProcess(options, logger: logger, sink: sink).run()
        }
    }

    private func certificate() throws(FatalError) -> WebhookOptions.Certificate {
        if let tlsDir { return .directory(tlsDir) }
        do throws(ServiceAccount.Missing) {
            let account = try ServiceAccount(environment: Environment.variables, directory: serviceAccountDir)
            guard let namespace = namespace ?? Environment.variables["POD_NAMESPACE"] ?? account.namespace else {
                throw ServiceAccount.Missing(
                    sentence: "the webhook's namespace is not known: set POD_NAMESPACE or --namespace")
            }
            var own = OwnCertificate(
                account: account, namespace: namespace, secret: secret, service: service, registration: registration)
            own.failurePolicy = failurePolicy
            own.leafSeconds = certificateLifetime.seconds
            own.authoritySeconds = authorityLifetime.seconds
            own.checkSeconds = checkSeconds
            return .own(own)
        } catch {
            throw FatalError("\(error.sentence); or give the certificate with --tls-dir")
        }
    }
}

extension FailurePolicy: ExpressibleByArgument {}
