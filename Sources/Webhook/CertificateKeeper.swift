import CertTool
import Logging
import Manifest
import Proxy

/// Keeps the webhook's certificate current and the API server trusting it: looks at the Secret and the registration at the
/// start and every minute, and does what `CertificateCustody.step` says.
///
/// Replicas share the Secret. Who writes names the version it has read (resourceVersion), so of two only one succeeds; the
/// other looks again and takes what the first has written.
final class CertificateKeeper {
    private let own: OwnCertificate
    private let health: WebhookHealth
    private let server: WebhookServer
    private let logger: Logger
    private let reactor: Reactor
    private let client: APIClient
    private let timer = Deadline()
    private let secret: APIClient.Place
    private let registration: APIClient.Place
    private var inForce: Credentials?
    /// What the API server trusts, and since when it is known to, in monotonic microseconds.
    private var confirmed: (anchors: [[UInt8]], since: Int64)?
    private var failures = 0

    /// How long the API server may take to act on a changed registration, which it watches.
    private static let propagationMicroseconds: Int64 = 20_000_000
    /// After a failure: doubled each time, up to the usual pause.
    private static let firstRetryMicroseconds: Int64 = 500_000

    init(
        _ own: OwnCertificate, health: WebhookHealth, server: WebhookServer, logger: Logger, in reactor: Reactor
    ) throws(SystemError) {
        self.own = own
        self.health = health
        self.server = server
        self.logger = logger
        self.reactor = reactor
        client = try APIClient(own.account, in: reactor)
        secret = .secret(own.secret, in: own.namespace)
        registration = .mutatingWebhookConfiguration(own.registration)
        try timer.attach(to: reactor)
        timer.action = { [unowned self] in look() }
    }

    func start() { look() }

    // MARK: the certificate

    private func look() {
        client.call(.get, secret) { [self] result in
            switch result {
            case .success(let object): weigh(SecretObject(object))
            case .failure(.notFound): begin(SecretObject(secret, type: "kubernetes.io/tls"), .create)
            case .failure(let error): certificateFailed(error.sentence, goingOnWith: nil)
            }
        }
    }

    private func weigh(_ object: SecretObject) {
        let found = CertificateCustody(object)
        let step = CertificateCustody.step(found, for: own.serverName, trusted: trusted, at: WallClock.seconds)
        guard let found else { return begin(object, .update) }
        do throws(IssuingError) {
            switch step {
            case .use: use(found)
            case .begin: begin(object, .update)
            case .renewAuthority:
                let data = try found.renewedAuthority(own, at: WallClock.seconds)
                write(object.with(data), .update, "a new authority beside the old one", else: found)
            case .renewLeaf(let reason):
                let data = try found.renewedLeaf(own, at: WallClock.seconds)
                write(object.with(data), .update, "a new certificate (of the old one \(reason))", else: found)
            }
        } catch {
            certificateFailed(error.sentence, goingOnWith: found)
        }
    }

    private func begin(_ object: SecretObject, _ verb: APIClient.Verb) {
        do throws(IssuingError) {
            let data = try CertificateCustody.fresh(own, at: WallClock.seconds)
            write(object.with(data), verb, "an authority and a certificate", else: nil)
        } catch {
            certificateFailed(error.sentence, goingOnWith: nil)
        }
    }

    private func write(
        _ object: ManifestValue, _ verb: APIClient.Verb, _ what: String, else old: CertificateCustody?
    ) {
        client.call(verb, secret, object) { [self] result in
            switch result {
            case .success(let written):
                logger.info("\(what) written", metadata: ["secret": "\(own.namespace)/\(own.secret)"])
                guard let custody = CertificateCustody(SecretObject(written)) else {
                    return certificateFailed(
                        "the API server gave back another Secret than it was sent", goingOnWith: old)
                }
                use(custody)
            // Another replica was quicker; what it has written is as good.
            case .failure(.conflict): timer.set(after: CertificateKeeper.firstRetryMicroseconds)
            case .failure(let error): certificateFailed(error.sentence, goingOnWith: old)
            }
        }
    }

    private var trusted: [[UInt8]] {
        let patience = min(CertificateKeeper.propagationMicroseconds, Int64(own.checkSeconds) * 500_000)
        guard let confirmed, reactor.now - confirmed.since >= patience else { return [] }
        return confirmed.anchors
    }

    private func use(_ custody: CertificateCustody) {
        mended(&health.certificateProblem, "certificate")
        take(custody)
        register(custody)
    }

    private func take(_ custody: CertificateCustody) {
        guard custody.credentials != inForce else { return }
        do throws(TLSConfigurationError) {
            try server.use(custody.credentials)
            inForce = custody.credentials
            let leaf = custody.credentials.leaf
            logger.info(
                "certificate in force",
                metadata: [
                    "serial": "\(leaf.serial)", "names": "\(leaf.names.joined(separator: " "))",
                    "issuer": "\(leaf.issuer)", "valid_until": "\(Timestamp.text(seconds: leaf.notAfter))",
                ])
        } catch {
            logger.error("the certificate cannot be used", metadata: ["reason": "\(error)"])
        }
    }

    // MARK: the registration

    private func register(_ custody: CertificateCustody) {
        client.call(.get, registration) { [self] result in
            switch result {
            case .success(let object): compare(Registration(object), custody)
            case .failure(.notFound):
                registrationFailed(
                    "there is no MutatingWebhookConfiguration \(own.registration): apply install.yaml, or name it with "
                        + "--registration")
            case .failure(let error): registrationFailed(error.sentence)
            }
        }
    }

    private func compare(_ found: Registration, _ custody: CertificateCustody) {
        guard found.webhookCount > 0 else {
            return registrationFailed("the MutatingWebhookConfiguration \(own.registration) has no webhooks")
        }
        let bundle = custody.anchors.flatMap { PEM.text(ofCertificate: $0) }
        guard let patch = found.patch(caBundle: bundle, failurePolicy: own.failurePolicy) else {
            return confirm(custody.anchors)
        }
        client.call(.patch, registration, patch) { [self] result in
            switch result {
            case .success:
                logger.info(
                    "registration brought up to date",
                    metadata: ["registration": "\(own.registration)", "authorities": "\(custody.anchors.count)"])
                confirm(custody.anchors)
            case .failure(let error): registrationFailed(error.sentence)
            }
        }
    }

    private func confirm(_ anchors: [[UInt8]]) {
        if confirmed?.anchors != anchors { confirmed = (anchors, reactor.now) }
        health.isRegistered = true
        mended(&health.registrationProblem, "registration")
        guard health.certificateProblem == nil else { return }
        failures = 0
        lookAgain(after: Int64(own.checkSeconds) * 1_000_000)
    }

    // MARK: failures

    /// - Parameter old: a certificate that can still be used, and registered.
    private func certificateFailed(_ sentence: String, goingOnWith old: CertificateCustody?) {
        failed(sentence, &health.certificateProblem)
        guard let old else { return }
        take(old)
        register(old)
    }

    private func registrationFailed(_ sentence: String) { failed(sentence, &health.registrationProblem) }

    private func failed(_ sentence: String, _ problem: inout String?) {
        server.checkFailed()
        // Said once, not every minute.
        if problem != sentence { logger.error("\(sentence)") }
        problem = sentence
        failures += 1
        let pause = CertificateKeeper.firstRetryMicroseconds << Int64(min(failures - 1, 10))
        lookAgain(after: min(pause, Int64(own.checkSeconds) * 1_000_000))
    }

    private func mended(_ problem: inout String?, _ what: String) {
        if problem != nil { logger.info("the \(what) is well again") }
        problem = nil
    }

    /// Not to the second: the other replicas look too.
    private func lookAgain(after microseconds: Int64) {
        timer.set(after: microseconds - Int64.random(in: 0...microseconds / 8))
    }
}
