import Addressing
import CertTool
import Proxy
import Testing

@Suite struct CertificateAuthorityTests {
    private let now: Int64 = 1_800_000_000

    private func summary(_ pem: [UInt8]) throws -> CertificateSummary {
        let certificates = try #require(PEM.certificates(pem))
        return try #require(certificates.first.flatMap(CertificateSummary.init(der:)))
    }

    private func leaf(
        of authority: CertificateAuthority, usage: CertificateTemplate.Usage = .both, algorithm: KeyAlgorithm = .p256
    ) throws -> CertificatePair {
        try authority.issue(
            CertificateTemplate(
                commonName: "web", organization: "demo",
                names: [
                    .dns("web.demo.svc"), .dns("*.demo"), .address(.loopbackV4), .address(.loopbackV6),
                    .uri("spiffe://cluster.local/ns/demo/sa/web"),
                ], usage: usage, lifetimeSeconds: 3_600),
            algorithm: algorithm, now: now)
    }

    @Test func aLeafSaysWhatWasAskedFor() throws {
        let authority = try CertificateAuthority.make(commonName: "demo CA", lifetimeSeconds: 86_400, now: now)
        let pair = try leaf(of: authority)
        let summary = try summary(pair.certificate)
        #expect(summary.subject == "CN=web,O=demo")
        #expect(summary.issuer == "CN=demo CA")
        #expect(summary.dnsNames == ["web.demo.svc", "*.demo"])
        #expect(summary.addresses == [.loopbackV4, .loopbackV6])
        #expect(summary.uriNames == ["spiffe://cluster.local/ns/demo/sa/web"])
        #expect(summary.notBefore == now - CertificateAuthority.backdatingSeconds)
        #expect(summary.notAfter == now + 3_600)
    }

    /// What the proxy itself makes of a pair is the strictest check at hand: chain, key and usage.
    @Test(arguments: [KeyAlgorithm.p256, .rsa(bits: 2_048)])
    func aPairIsOneForTheProxy(_ algorithm: KeyAlgorithm) throws {
        let authority = try CertificateAuthority.make(
            commonName: "demo CA", lifetimeSeconds: 86_400, algorithm: algorithm, now: now)
        let pair = try leaf(of: authority, algorithm: algorithm)
        let credentials = try Credentials(certificate: pair.certificate, key: pair.key)
        let anchor = try #require(PEM.certificates(authority.pair.certificate)?.first)
        #expect(credentials.isIssued(by: anchor))
        #expect(credentials.mayServe(as: .server) && credentials.mayServe(as: .client))
    }

    @Test(arguments: [(CertificateTemplate.Usage.server, true, false), (.client, false, true), (.both, true, true)])
    func usagesAreKeptApart(_ usage: CertificateTemplate.Usage, _ server: Bool, _ client: Bool) throws {
        let authority = try CertificateAuthority.make(commonName: "demo CA", now: now)
        let pair = try leaf(of: authority, usage: usage)
        let credentials = try Credentials(certificate: pair.certificate, key: pair.key)
        #expect(credentials.mayServe(as: .server) == server)
        #expect(credentials.mayServe(as: .client) == client)
    }

    @Test func anAuthorityReadAgainIssuesTheSame() throws {
        let made = try CertificateAuthority.make(commonName: "demo CA", now: now)
        let read = try CertificateAuthority(made.pair)
        let pair = try leaf(of: read)
        let credentials = try Credentials(certificate: pair.certificate, key: pair.key)
        let anchor = try #require(PEM.certificates(made.pair.certificate)?.first)
        #expect(credentials.isIssued(by: anchor))
    }

    @Test func serialNumbersDoNotRepeat() throws {
        let authority = try CertificateAuthority.make(commonName: "demo CA", now: now)
        var serials: Set<String> = []
        for _ in 0..<20 { serials.insert(try summary(try leaf(of: authority).certificate).serial) }
        #expect(serials.count == 20)
        #expect(serials.allSatisfy { $0.utf8.count == 42 }, "159 random bits, the first of them set: 0x and 40 digits")
    }

    @Test func theYear2050IsNoEnd() throws {
        let authority = try CertificateAuthority.make(
            commonName: "demo CA", lifetimeSeconds: CertificateAuthority.maximumLifetimeSeconds, now: now)
        #expect(try summary(authority.pair.certificate).notAfter == now + CertificateAuthority.maximumLifetimeSeconds)
    }

    // MARK: what is refused

    @Test func anotherKeyIsRefused() throws {
        let one = try CertificateAuthority.make(commonName: "one", now: now)
        let other = try CertificateAuthority.make(commonName: "other", now: now)
        #expect(throws: IssuingError(sentence: "the authority's key does not belong to its certificate")) {
            try CertificateAuthority(CertificatePair(certificate: one.pair.certificate, key: other.pair.key))
        }
    }

    @Test func aLeafIsNoAuthority() throws {
        let pair = try leaf(of: try CertificateAuthority.make(commonName: "one", now: now))
        #expect(throws: IssuingError.self) { try CertificateAuthority(pair) }
    }

    @Test func garbageIsNoAuthority() throws {
        let good = try CertificateAuthority.make(commonName: "one", now: now).pair
        for pair in [
            CertificatePair(certificate: Array("x".utf8), key: good.key),
            CertificatePair(certificate: good.certificate, key: []),
            CertificatePair(certificate: Array(good.certificate.dropLast(80)), key: good.key),
        ] {
            #expect(throws: IssuingError.self) { try CertificateAuthority(pair) }
        }
    }

    @Test(arguments: [
        AlternativeName.dns(""), .dns("a..b"), .dns("a b"), .dns("-a"), .dns("a-"), .dns("*"), .dns("a.*"),
        .dns("a,DNS:b"),
        .dns(String(repeating: "a", count: 64)), .dns("ä.de"), .uri("web"), .uri(":x"), .uri("a:"), .uri("1a:b"),
        .uri("spiffe://a b"), .uri("spiffe://a\u{0}"), .uri("a:" + String(repeating: "b", count: 2_048)),
    ])
    func badNamesAreRefused(_ name: AlternativeName) throws {
        let authority = try CertificateAuthority.make(commonName: "one", now: now)
        let template = CertificateTemplate(commonName: "x", names: [name], usage: .server)
        #expect(throws: IssuingError.self) { try authority.issue(template, now: now) }
    }

    @Test(arguments: ["", String(repeating: "n", count: 65), "a\u{0}b", "a\nb"])
    func badCommonNamesAreRefused(_ name: String) {
        #expect(throws: IssuingError.self) { try CertificateAuthority.make(commonName: name, now: now) }
    }

    @Test(arguments: [Int64(0), -1, CertificateAuthority.maximumLifetimeSeconds + 1])
    func badLifetimesAreRefused(_ seconds: Int64) {
        #expect(throws: IssuingError.self) {
            try CertificateAuthority.make(commonName: "a", lifetimeSeconds: seconds, now: now)
        }
    }

    @Test(arguments: [1_024, 8_193])
    func keysOfOtherLengthsAreRefused(_ bits: Int) {
        #expect(throws: IssuingError.self) {
            try CertificateAuthority.make(commonName: "a", algorithm: .rsa(bits: bits), now: now)
        }
    }
}
