import CertTool
import Proxy
import Testing

@testable import Webhook

@Suite struct CertificateCustodyTests {
    private let start: Int64 = 1_800_000_000
    private let own: OwnCertificate

    init() throws {
        let account = try ServiceAccount(environment: ["KUBERNETES_SERVICE_HOST": "::1"], directory: "/nowhere")
        var own = OwnCertificate(
            account: account, namespace: "system", secret: "s", service: "hook", registration: "r")
        own.leafSeconds = 900
        own.authoritySeconds = 9_000
        self.own = own
    }

    private func secret(_ data: [(key: String, bytes: [UInt8])]) -> SecretObject {
        SecretObject(SecretObject(.secret("s", in: "system"), type: "kubernetes.io/tls").with(data))
    }

    private func made() throws -> CertificateCustody {
        try #require(CertificateCustody(secret(try CertificateCustody.fresh(own, at: start))))
    }

    private func step(_ found: CertificateCustody?, after seconds: Int64, trusted: [[UInt8]] = [])
        -> CertificateCustody.Step
    {
        CertificateCustody.step(found, for: own.serverName, trusted: trusted, at: start + seconds)
    }

    @Test func nothingThereIsABeginning() { #expect(step(nil, after: 0) == .begin) }

    @Test func aLeafIsRenewedAtTwoThirdsOfItsLife() throws {
        let found = try made()
        #expect(found.credentials.leaf.dnsNames.first == "hook.system.svc")
        #expect(step(found, after: 0) == .use)
        #expect(step(found, after: 599) == .use)
        #expect(step(found, after: 600) == .renewLeaf(reason: "two thirds of the life are over"))
    }

    @Test func anAuthorityIsRenewedAtTwoThirdsOfItsLife() throws {
        let found = try made()
        #expect(step(found, after: 5_999) != .renewAuthority)
        #expect(step(found, after: 6_000) == .renewAuthority)
        #expect(step(found, after: 9_000) == .begin, "it has expired")
    }

    @Test func aClockThatWasSetBackMakesNothingOfTheFuture() throws {
        #expect(step(try made(), after: -CertificateAuthority.backdatingSeconds - 1) == .renewAuthority)
    }

    @Test func otherNamesAreAnotherCertificate() throws {
        let found = try made()
        #expect(
            CertificateCustody.step(found, for: "other.svc", trusted: [], at: start)
                == .renewLeaf(reason: "the names are others"))
    }

    /// The order that loses no handshake: trust the new authority, then show its certificates, then forget the old one.
    @Test func aNewAuthorityIsTrustedBeforeItVouches() throws {
        var own = own
        own.leafSeconds = 9_000
        let object = secret(try CertificateCustody.fresh(own, at: start))
        let old = try #require(CertificateCustody(object))
        let renewed = SecretObject(object.with(try old.renewedAuthority(own, at: start + 6_000)))
        let both = try #require(CertificateCustody(renewed))
        #expect(both.anchors.count == 2)
        #expect(both.anchors.last == old.anchors.first)
        #expect(both.credentials == old.credentials, "the certificate stays in use")
        #expect(step(both, after: 6_001, trusted: old.anchors) == .use, "the API server does not trust the new one yet")
        let next = step(both, after: 6_001, trusted: both.anchors)
        #expect(next == .renewLeaf(reason: "the authority has been renewed"))
        let last = try #require(
            CertificateCustody(SecretObject(renewed.with(try both.renewedLeaf(own, at: start + 6_001)))))
        let newest = try #require(last.anchors.first)
        #expect(last.credentials.isIssued(by: newest))
        #expect(step(last, after: 6_002) == .use)
        let later = try last.renewedAuthority(own, at: start + 12_100)
        let bundle = try #require(later.first { $0.key == "ca.crt" }?.bytes)
        #expect(PEM.certificates(bundle)?.count == 2, "the first has expired and is gone")
    }

    /// Rather a certificate that may not be trusted yet than one that has expired.
    @Test func aLeafThatHasExpiredDoesNotWaitForTrust() throws {
        let object = secret(try CertificateCustody.fresh(own, at: start))
        let old = try #require(CertificateCustody(object))
        let both = try #require(
            CertificateCustody(SecretObject(object.with(try old.renewedAuthority(own, at: start + 6_000)))))
        #expect(step(both, after: 6_001) == .renewLeaf(reason: "the life is over"))
    }

    @Test func aLeafDoesNotOutliveItsIssuer() throws {
        var own = own
        own.leafSeconds = 9_000
        let found = try #require(CertificateCustody(secret(try CertificateCustody.fresh(own, at: start))))
        let renewed = try found.renewedLeaf(own, at: start + 3_000)
        let pem = try #require(renewed.first?.bytes)
        let leaf = try #require(PEM.certificates(pem)?.first.flatMap(CertificateSummary.init(der:)))
        #expect(leaf.notAfter == start + 9_000)
    }

    @Test(arguments: ["ca.crt", "ca.key", "tls.crt", "tls.key"])
    func whatIsMissingOrDamagedMakesItUseless(_ key: String) throws {
        let data = try CertificateCustody.fresh(own, at: start)
        #expect(CertificateCustody(secret(data.filter { $0.key != key })) == nil)
        let damaged = data.map { ($0.key, $0.key == key ? Array($0.bytes.dropLast(60)) : $0.bytes) }
        #expect(CertificateCustody(secret(damaged)) == nil)
    }

    @Test func aPairOfAnotherAuthorityMakesItUseless() throws {
        let one = try CertificateCustody.fresh(own, at: start)
        let other = try CertificateCustody.fresh(own, at: start)
        #expect(CertificateCustody(secret(Array(one[..<2] + other[2...]))) == nil)
    }
}
