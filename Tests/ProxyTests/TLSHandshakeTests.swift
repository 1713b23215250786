import Addressing
import Testing

@testable import Proxy

/// Who may in and who may not, in both versions, and what is said about it.
struct TLSHandshakeTests {
    @Test(arguments: [TLSVersion.v1_2, .v1_3])
    func bothSidesProveThemselves(_ version: TLSVersion) throws {
        var scene = TLSScene()
        let caller = scene.authority.issue("caller") { $0.uriNames = ["spiffe://test/sa/caller"] }
        scene.client = caller.credentials()
        let link = try scene.link(version)
        #expect(link.handshake() == (.done, .done))
        #expect(link.clientIdentity?.der == caller.certificate)
        #expect(link.clientIdentity?.summary.displayName == "spiffe://test/sa/caller")
        #expect(link.serverIdentity?.summary.commonName == "server")
        #expect(!link.isResumed)
    }

    @Test(arguments: [CertificateRequest.KeyKind.p256, .p384, .ed25519, .rsa2048])
    func eachKindOfKeyServesOnBothSides(_ kind: CertificateRequest.KeyKind) throws {
        var scene = TLSScene()
        scene.server = scene.authority.issue("server") { $0.key = kind }.credentials()
        scene.client = scene.authority.issue("client") { $0.key = kind }.credentials()
        #expect(try scene.link().handshake() == (.done, .done))
        #expect(try scene.link(.v1_2).handshake() == (.done, .done))
    }

    @Test func aChainThroughAnIntermediateIsSentAndFollowed() throws {
        var scene = TLSScene()
        let issuer = scene.authority.intermediate("Issuing CA")
        scene.server = issuer.issue("server").credentials(chain: [issuer.pair])
        scene.client = issuer.issue("client").credentials(chain: [issuer.pair])
        #expect(try scene.link().handshake() == (.done, .done))
    }

    @Test func anIntermediateThatIsOnlyAmongTheAnchorsIsSentToo() throws {
        var scene = TLSScene()
        let issuer = scene.authority.intermediate("Issuing CA")
        scene.server = issuer.issue("server").credentials()
        scene.serverTrust.append(issuer.pair.certificate)
        #expect(try scene.link().handshake() == (.done, .done))
    }

    @Test func anIntermediateAloneIsTrustedWhereTheOperatorPutIt() throws {
        var scene = TLSScene()
        let issuer = scene.authority.intermediate("Issuing CA")
        scene.client = issuer.issue("client").credentials()
        scene.serverTrust = [issuer.pair.certificate]
        #expect(try scene.link().handshake() == (.done, .done))
    }

    /// A bad client certificate, what it is counted as, and words that the log must hold.
    struct BadClient: CustomStringConvertible, Sendable {
        let description: String
        let reason: TLSError.Reason
        let words: [String]
        let make: @Sendable (Authority) -> Credentials?
    }

    static let badClients = [
        BadClient(description: "none", reason: .noCertificate, words: ["no certificate"]) { _ in nil },
        BadClient(
            description: "of a stranger", reason: .unknownAuthority,
            words: ["CN=intruder", "CN=Stranger", "not trusted"]
        ) { _ in
            Authority("Stranger").issue("intruder").credentials()
        },
        BadClient(
            description: "of a namesake authority", reason: .unknownAuthority, words: ["CN=intruder", "CN=Test CA"]
        ) { _ in
            Authority().issue("intruder").credentials()
        },
        BadClient(description: "self-signed", reason: .unknownAuthority, words: ["CN=Lonely"]) { _ in
            Authority("Lonely").pair.credentials()
        },
        BadClient(description: "without its intermediate", reason: .unknownAuthority, words: ["CN=Issuing CA"]) {
            $0.intermediate("Issuing CA").issue("client").credentials()
        },
        BadClient(description: "expired", reason: .expired, words: ["CN=old", "expired at 20"]) {
            $0.issue("old") { $0.end = -60 }.credentials()
        },
        BadClient(
            description: "not yet valid", reason: .notYetValid, words: ["CN=early", "not valid before 20", "clock"]
        ) {
            $0.issue("early") { $0.start = 3_600 }.credentials()
        },
        BadClient(
            description: "for servers only", reason: .wrongPurpose, words: ["CN=server-only", "extended key usage"]
        ) {
            $0.issue("server-only") { $0.usages = [.server] }.credentials()
        },
    ]

    @Test(arguments: badClients, [TLSVersion.v1_2, .v1_3])
    func aBadClientIsRefusedWithItsReason(_ client: BadClient, _ version: TLSVersion) throws {
        var scene = TLSScene()
        scene.client = client.make(scene.authority)
        let link = try scene.link(version)
        let endings = link.handshake()
        #expect(endings.server == .refused(client.reason))
        let said = link.details.joined(separator: " | ")
        for words in client.words { #expect(said.contains(words), "\(said)") }
        // The client learns it by an alert: in the handshake, or, under TLS 1.3, when it reads.
        if endings.client == .done {
            guard case .failed(let error) = link.read(at: .client).outcome else {
                Issue.record("the client reads on")
                return
            }
            #expect(error.reason == .peerAlert)
        } else {
            #expect(endings.client == .refused(.peerAlert))
        }
    }

    @Test func anExpiredIssuerIsNamedRatherThanTheLeaf() throws {
        var scene = TLSScene()
        let old = Authority("Old CA") { $0.end = -60 }
        scene.client = old.issue("client").credentials()
        scene.serverTrust = [old.pair.certificate]
        let link = try scene.link()
        #expect(link.handshake().server == .refused(.expired))
        #expect(link.details.contains { $0.hasPrefix("CN=Old CA, an issuer of") && $0.contains("CN=client") })
    }

    @Test func aCertificateWithoutUsagesMayServeAsAnything() throws {
        var scene = TLSScene()
        scene.client = scene.authority.issue("client") { $0.usages = [] }.credentials()
        #expect(try scene.link().handshake() == (.done, .done))
    }

    @Test func aServerWithAClientCertificateIsRefused() throws {
        var scene = TLSScene()
        scene.server = scene.authority.issue("server") { $0.usages = [.client] }.credentials()
        #expect(try scene.link().handshake().client == .refused(.wrongPurpose))
    }

    @Test func minimumVersion1_3RefusesAClientOf1_2() throws {
        var scene = TLSScene()
        scene.serverVersion = .v1_3
        let link = try scene.link(.v1_2)
        let endings = link.handshake()
        #expect(endings.server == .refused(.noSharedVersion))
        #expect(endings.client == .refused(.peerAlert))
    }

    @Test(arguments: [
        ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", TLSError.Reason.notTLS), ("SSH-2.0-OpenSSH_9.2\r\n", .notTLS),
        ("\u{16}\u{3}\u{1}\u{0}\u{5}\u{1}\u{0}\u{0}\u{1}\u{0}", .protocolViolation),
    ])
    func whatIsNoHandshakeIsToldApart(_ text: String, _ reason: TLSError.Reason) throws {
        let sockets = try SocketPair()
        var server = try TLSSession(serverSide: TLSScene().serverContext(), descriptor: sockets.near.raw)
        sockets.sendFromFar(Array(text.utf8))
        guard case .failed(let error) = server.handshake() else {
            Issue.record("the handshake goes on")
            return
        }
        #expect(error.reason == reason, "\(error.detail)")
    }

    @Test func aPeerThatLeavesInTheHandshakeIsTruncation() throws {
        let sockets = try SocketPair()
        var server = try TLSSession(serverSide: TLSScene().serverContext(), descriptor: sockets.near.raw)
        guard case .wantsRead = server.handshake() else {
            Issue.record("a silent peer is no reason to fail")
            return
        }
        sockets.closeFar()
        guard case .failed(let error) = server.handshake() else {
            Issue.record("the handshake goes on")
            return
        }
        #expect(error.reason == .truncated)
    }

    @Test func aKeyOfAnotherCertificateMakesNoContext() throws {
        var scene = TLSScene()
        let other = scene.authority.issue("other")
        let server = scene.server
        scene.server = Credentials(chain: server.chain, privateKey: other.key, leaf: server.leaf)
        #expect(throws: TLSConfigurationError.self) { _ = try scene.serverContext() }
    }
}
