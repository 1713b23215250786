import ArgumentParser
import Glibc
import Logging
import Proxy
import Webhook

struct CertsSecretsCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "secrets", abstract: "Keep an authority and certificates of workloads as Secrets of the cluster.",
        discussion:
            """
            The Secret sidecar-ca holds the authority; NAME-tls the certificate of the workload NAME, for both sides of TLS. \
            Makes what is missing, renews what has less than a third of its life left, touches nothing else. Runs in the \
            cluster, as a Job or CronJob (docs/webhook.md).
            """)

    @Argument(help: "The workloads: names of Services and service accounts.")
    var names: [String]

    @Option(help: "Their namespace; else POD_NAMESPACE, else the service account's.")
    var namespace: String?

    @Option(help: "How long a certificate is valid, as 90d, 12h, 30m or 600s.")
    var lifetime = Lifetime(seconds: 90 * 86_400)

    @Option(help: "How long the authority is valid.")
    var authorityLifetime = Lifetime(seconds: OwnCertificate.usualAuthoritySeconds)

    @Option(help: "The trust domain of the SPIFFE names.")
    var trustDomain = "cluster.local"

    @Option(help: "Where the service account's token and ca.crt are.")
    var serviceAccountDir = ServiceAccount.usualDirectory

    func validate() throws {
        for name in names where !CertsSecretsCommand.isLabel(name) {
            throw ValidationError(
                "\"\(name)\" is no name of a Service: it has up to 63 lower-case letters, digits and hyphens, and begins with a letter"
            )
        }
        guard Set(names).count == names.count else { throw ValidationError("a name is given twice") }
        guard authorityLifetime.seconds >= lifetime.seconds else {
            throw ValidationError("--authority-lifetime must not be shorter than --lifetime")
        }
    }

    /// RFC 1035 section 2.3.1, as Kubernetes has it for Services.
    private static func isLabel(_ name: String) -> Bool {
        let bytes = Array(name.utf8)
        guard (1...63).contains(bytes.count), let first = bytes.first, let last = bytes.last else { return false }
        func isLetter(_ byte: UInt8) -> Bool { byte &- UInt8(ascii: "a") < 26 }
        func isDigit(_ byte: UInt8) -> Bool { byte &- UInt8(ascii: "0") < 10 }
        return isLetter(first) && (isLetter(last) || isDigit(last))
            && bytes.allSatisfy { isLetter($0) || isDigit($0) || $0 == UInt8(ascii: "-") }
    }

    func run() throws {
        try LoggedRun.run { (_, logger, sink) throws(FatalError) in
            let account: ServiceAccount
            do throws(ServiceAccount.Missing) {
                account = try ServiceAccount(environment: Environment.variables, directory: serviceAccountDir)
            } catch {
                throw FatalError(error.sentence)
            }
            guard let namespace = namespace ?? Environment.variables["POD_NAMESPACE"] ?? account.namespace else {
                throw FatalError("the namespace is not known: give it with --namespace")
            }
            var wish = SecretsIssuer.Wish(names: names, namespace: namespace)
            wish.leafSeconds = lifetime.seconds
            wish.authoritySeconds = authorityLifetime.seconds
            wish.trustDomain = trustDomain
            try SecretsIssuer(wish, account: account, logger: logger).run()
            sink.flush()
        }
    }
}
