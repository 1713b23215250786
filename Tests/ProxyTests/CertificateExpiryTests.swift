import Glibc
import Testing

@testable import Proxy

/// When what is in use ends first, which is what `/ready` goes by.
struct CertificateExpiryTests {
    private let now = Int64(time(nil))
    private let authority = Authority { $0.end = 1_000_000 }

    private func material(
        server: Credentials? = nil, client: Credentials? = nil, trust: [Authority], serverTrust: [Authority]? = nil
    ) -> TLSMaterial {
        TLSMaterial(
            server: server, client: client, serverTrust: (serverTrust ?? trust).map(\.pair.certificate),
            clientTrust: trust.map(\.pair.certificate), ticketKeys: [])
    }

    /// In seconds from now.
    private func rest(_ expiry: CertificateExpiry?) -> Int64? {
        expiry.map { Int64((Double($0.seconds - now) / 10).rounded()) * 10 }
    }

    @Test func aLeafEndsItsPair() {
        let leaf = authority.issue("server") { $0.end = 1_000 }.credentials()
        let expiry = material(server: leaf, trust: [authority]).expiry(usesClient: false)
        #expect(rest(expiry) == 1_000 && expiry?.what == "the server certificate")
    }

    @Test func anIntermediateThatEndsSoonerEndsThePair() {
        let issuer = Authority(
            pair: authority.issue("Issuing CA") {
                $0.isAuthority = true
                $0.usages = []
                $0.end = 500
            })
        let leaf = issuer.issue("server") { $0.end = 1_000 }.credentials(chain: [issuer.pair])
        let expiry = material(server: leaf, trust: [authority]).expiry(usesClient: false)
        #expect(rest(expiry) == 500 && expiry?.what == "CN=Issuing CA, an issuer of the server certificate,")
        // As it lies among the anchors, for a leaf that comes alone.
        let alone = issuer.issue("server") { $0.end = 1_000 }.credentials()
        #expect(rest(material(server: alone, trust: [authority, issuer]).expiry(usesClient: false)) == 500)
    }

    @Test func aClientPairCountsWhereItIsUsed() {
        let server = authority.issue("server") { $0.end = 1_000 }.credentials()
        let client = authority.issue("client") { $0.end = -100 }.credentials()
        let material = material(server: server, client: client, trust: [authority])
        #expect(rest(material.expiry(usesClient: false)) == 1_000)
        #expect(rest(material.expiry(usesClient: true)) == -100)
        #expect(rest(material.expiry(of: .client)) == -100, "the metric tells of what is loaded")
    }

    @Test func anchorsCountByTheirLastWhereTheyVerify() {
        let (brief, long) = (Authority("Brief CA") { $0.end = 300 }, Authority("Long CA") { $0.end = 900 })
        let server = authority.issue("server").credentials()
        let verifier = material(server: server, trust: [authority], serverTrust: [brief, long])
        #expect(rest(verifier.expiry(usesClient: false)) == 900)
        #expect(
            rest(material(trust: [brief]).expiry(usesClient: true)) == 300, "servers are verified without a pair too")
        #expect(material(trust: [brief]).expiry(usesClient: false) == nil)
    }

    /// The old authority ends, another is there: clients are verified, but peers with the same anchors refuse our leaf.
    @Test func theAnchorThatVouchesForThePairCounts() {
        let old = Authority("Old CA") { $0.end = 400 }
        let leaf = old.issue("server") { $0.end = 1_000 }.credentials()
        let trust = [old, authority]
        let expiry = material(server: leaf, trust: trust).expiry(usesClient: false)
        #expect(rest(expiry) == 400 && expiry?.what == "CN=Old CA, the trust anchor of the server certificate,")
        #expect(rest(material(server: leaf, trust: [authority]).expiry(usesClient: false)) == 1_000, "it is not ours")
    }

    @Test func anAuthorityThatWasRenewedWithItsKeyCountsByTheLaterOne() {
        let old = Authority("Mesh CA") { $0.end = 400 }
        let renewed = old.renewed { $0.end = 1_000_000 }
        let leaf = old.issue("server") { $0.end = 1_000 }.credentials()
        #expect(rest(material(server: leaf, trust: [old, renewed]).expiry(usesClient: false)) == 1_000)
    }

    /// Peers stop at the first certificate that they trust, and prefer a way that holds.
    @Test func anExpiredRootThatNobodyNeedsDoesNotCount() {
        let root = Authority("Old root") { $0.end = -100 }
        let issuer = Authority(
            pair: root.issue("Issuing CA") {
                $0.isAuthority = true
                $0.usages = []
                $0.end = 5_000
            })
        let leaf = issuer.issue("server") { $0.end = 1_000 }
        let alone = material(server: leaf.credentials(), trust: [issuer, root])
        #expect(rest(alone.expiry(usesClient: false)) == 1_000)
        let chained = material(server: leaf.credentials(chain: [issuer.pair]), trust: [issuer, root])
        #expect(rest(chained.expiry(usesClient: false)) == 1_000)
        let bound = material(server: leaf.credentials(chain: [issuer.pair]), trust: [root])
        #expect(rest(bound.expiry(usesClient: false)) == -100, "there is no other way")
    }

    @Test func whatEndsSoonIsSaidWithItsPart() {
        let old = Authority("Old CA") {
            $0.start = -10_000; $0.end = 400
        }
        let leaf = old.issue("server") { $0.end = 100_000 }.credentials()
        let source = CertificateSource(
            CertificateDirectories(server: "/s", client: "/c", ca: "/ca"), needsServer: true, needsClient: false)
        let status = MaterialStatus(source, material(server: leaf, trust: [old]), [], [], at: now)
        #expect(status.remarks(now).count == 1)
        #expect(
            status.remarks(now).first?.hasPrefix("CN=Old CA, the trust anchor of the server certificate, expires at")
                == true)
    }
}
