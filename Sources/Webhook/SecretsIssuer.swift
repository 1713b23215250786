import CertTool
package import Logging
import Manifest
package import Proxy

/// `sidecar certs secrets`: an authority and a certificate for each workload of a namespace, as Secrets.
///
/// It makes what is missing, renews what has less than a third of its life left, and touches nothing else. One call to the
/// API server after the other; two that run at once do not overwrite each other.
package final class SecretsIssuer {
    /// What is to be there.
    package struct Wish: Sendable {
        package var names: [String]
        package var namespace: String
        package var trustDomain: String
        package var leafSeconds: Int64
        package var authoritySeconds: Int64

        package init(names: [String], namespace: String) {
            self.names = names
            self.namespace = namespace
            trustDomain = "cluster.local"
            leafSeconds = 90 * 86_400
            authoritySeconds = CertificateAuthority.usualLifetimeSeconds
        }
    }

    /// The Secret of the authority.
    package static let authorityName = "sidecar-ca"
    /// Writes of an object that somebody else changes at the same time.
    private static let maximumAttempts = 5

    private let wish: Wish
    private let client: APIClient
    private let reactor: Reactor
    private let logger: Logger
    private var failure: FatalError?

    package init(_ wish: Wish, account: ServiceAccount, logger: Logger) throws(FatalError) {
        self.wish = wish
        self.logger = logger
        do throws(SystemError) {
            reactor = try Reactor()
            client = try APIClient(account, in: reactor)
        } catch {
            throw FatalError("the system refused to start: \(error)")
        }
    }

    /// Returns when all Secrets are as wished.
    package func run() throws(FatalError) {
        keepAuthority(attempt: 1)
        reactor.run()
        if let failure { throw failure }
    }

    // MARK: the authority

    private func keepAuthority(attempt: Int) {
        let place = APIClient.Place.secret(SecretsIssuer.authorityName, in: wish.namespace)
        client.call(.get, place) { [self] result in
            do throws(IssuingError) {
                switch result {
                case .success(let object):
                    let secret = SecretObject(object)
                    let found = try AuthoritySecret(secret, place.description)
                    guard found.isDue(at: WallClock.seconds) else { return keepLeaf(0, found, attempt: 1) }
                    let fresh = try found.renewed(by: makeAuthority(), at: WallClock.seconds)
                    write(.update, place, secret.with(fresh), attempt, again: { self.keepAuthority(attempt: $0) })
                case .failure(.notFound):
                    let secret = SecretObject(place, type: "Opaque")
                    let authority = try makeAuthority()
                    let data = [("ca.crt", authority.pair.certificate), ("ca.key", authority.pair.key)]
                    write(.create, place, secret.with(data), attempt, again: { self.keepAuthority(attempt: $0) })
                case .failure(let error): fail(error.sentence)
                }
            } catch {
                fail(error.sentence)
            }
        }
    }

    private func makeAuthority() throws(IssuingError) -> CertificateAuthority {
        try CertificateAuthority.make(
            commonName: "sidecar \(wish.namespace)".prefixText(CertificateTemplate.maximumNameCharacters),
            organization: "sidecar", lifetimeSeconds: wish.authoritySeconds, now: WallClock.seconds)
    }

    /// Writes and looks again, so that what somebody else has written is taken as it is.
    private func write(
        _ verb: APIClient.Verb, _ place: APIClient.Place, _ object: ManifestValue, _ attempt: Int,
        again: @escaping (Int) -> Void
    ) {
        guard attempt <= SecretsIssuer.maximumAttempts else {
            return fail(
                "\(place.description) was written \(SecretsIssuer.maximumAttempts) times, and somebody changes it each time"
            )
        }
        client.call(verb, place, object) { [self] result in
            switch result {
            case .success:
                logger.info("\(verb == .create ? "made" : "renewed")", metadata: ["secret": "\(place.description)"])
                again(attempt + 1)
            case .failure(.conflict): again(attempt + 1)
            case .failure(let error): fail(error.sentence)
            }
        }
    }

    // MARK: the leaves

    private func keepLeaf(_ index: Int, _ authority: AuthoritySecret, attempt: Int) {
        guard index < wish.names.count else { return reactor.stop() }
        let name = wish.names[index]
        let place = APIClient.Place.secret("\(name)-tls", in: wish.namespace)
        client.call(.get, place) { [self] result in
            do throws(IssuingError) {
                switch result {
                case .success(let object):
                    let secret = SecretObject(object)
                    guard let reason = reason(toRenew: secret, name, authority) else {
                        return keepLeaf(index + 1, authority, attempt: 1)
                    }
                    logger.info("to be renewed: \(reason)", metadata: ["secret": "\(place.description)"])
                    let data = try leaf(name, authority)
                    write(
                        .update, place, secret.with(data), attempt,
                        again: { self.keepLeaf(index, authority, attempt: $0) })
                case .failure(.notFound):
                    let data = try leaf(name, authority)
                    let secret = SecretObject(place, type: "kubernetes.io/tls")
                    write(
                        .create, place, secret.with(data), attempt,
                        again: { self.keepLeaf(index, authority, attempt: $0) })
                case .failure(let error): fail(error.sentence)
                }
            } catch {
                fail(error.sentence)
            }
        }
    }

    /// nil for one that can stay.
    private func reason(toRenew secret: SecretObject, _ name: String, _ authority: AuthoritySecret) -> String? {
        guard let pair = secret.pair("tls.crt", "tls.key"),
            let credentials = try? Credentials(certificate: pair.certificate, key: pair.key)
        else { return "it holds no usable certificate" }
        if LifePhase.isDue(credentials.leaf, at: WallClock.seconds) { return "two thirds of its life are over" }
        if !authority.anchors.contains(where: { credentials.isIssued(by: $0) }) { return "it is of another authority" }
        if secret.data("ca.crt") != authority.bundle { return "the authority has been renewed" }
        let wanted = names(of: name)
        let present =
            credentials.leaf.dnsNames.map { AlternativeName.dns($0) } + credentials.leaf.uriNames.map { .uri($0) }
        return wanted.allSatisfy(present.contains) ? nil : "names are missing in it"
    }

    private func names(of name: String) -> [AlternativeName] {
        let namespace = wish.namespace
        return [
            .dns(name), .dns("\(name).\(namespace)"), .dns("\(name).\(namespace).svc"),
            .dns("\(name).\(namespace).svc.cluster.local"),
            .uri("spiffe://\(wish.trustDomain)/ns/\(namespace)/sa/\(name)"),
        ]
    }

    private func leaf(_ name: String, _ authority: AuthoritySecret) throws(IssuingError) -> [(
        key: String, bytes: [UInt8]
    )] {
        let now = WallClock.seconds
        let template = CertificateTemplate(
            commonName: name.prefixText(CertificateTemplate.maximumNameCharacters), names: names(of: name),
            usage: .both,
            lifetimeSeconds: min(wish.leafSeconds, authority.expiry - now))
        let pair = try authority.authority.issue(template, now: now)
        return [("tls.crt", pair.certificate), ("tls.key", pair.key), ("ca.crt", authority.bundle)]
    }

    private func fail(_ sentence: String) {
        failure = FatalError(sentence)
        reactor.stop()
    }
}

extension String {
    fileprivate func prefixText(_ count: Int) -> String { String(unicodeScalars.prefix(count)) }
}
