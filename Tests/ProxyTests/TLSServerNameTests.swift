import Addressing
import Testing

@testable import Proxy

/// How a server proves who it is, beyond its chain.
struct TLSServerNameTests {
    private func endings(
        _ verify: ServerVerification, _ change: (inout CertificateRequest) -> Void
    ) throws -> (server: TLSLink.Ending, client: TLSLink.Ending) {
        var scene = TLSScene()
        scene.server = scene.authority.issue("web.example", change).credentials()
        scene.verify = verify
        return try scene.link().handshake()
    }

    @Test(arguments: ["web.example", "WEB.example", "web.example.", "any.wild.example", "under_score.example"])
    func aNameOfTheCertificateIsAccepted(_ name: String) throws {
        let endings = try endings(.full(.dns(name))) {
            $0.dnsNames = ["web.example", "*.wild.example", "under_score.example"]
        }
        #expect(endings == (.done, .done))
    }

    @Test(arguments: ["other.example", "a.b.wild.example", "wild.example", "example", "10.0.0.1"])
    func anotherNameIsAMismatch(_ name: String) throws {
        let endings = try endings(.full(.dns(name))) { $0.dnsNames = ["web.example", "*.wild.example"] }
        #expect(endings == (.refused(.peerAlert), .refused(.nameMismatch)))
    }

    @Test func theCommonNameProvesNothing() throws {
        let endings = try endings(.full(.dns("web.example"))) { _ in }
        #expect(endings.client == .refused(.nameMismatch))
    }

    /// OpenSSL would check nothing, any subdomain, or the part before the zero byte.
    @Test(arguments: ["", ".", ".example", "web.example\0.evil", "web example", "*.example", "*", "wéb.example"])
    func aNameThatNoCertificateCanProveIsRefusedBeforeAnythingIsSent(_ name: String) throws {
        var scene = TLSScene()
        scene.server = scene.authority.issue("web") { $0.dnsNames = ["web.example", "*.example"] }.credentials()
        scene.verify = .full(.dns(name))
        let error = #expect(throws: TLSError.self) { _ = try scene.link() }
        #expect(error?.reason == .nameMismatch)
    }

    @Test(arguments: ["10.1.2.3", "fd00::1"])
    func anAddressOfTheCertificateIsAccepted(_ text: String) throws {
        let address = try #require(IPAddress(text))
        #expect(try endings(.full(.address(address))) { $0.addresses = [address] } == (.done, .done))
        let other = try endings(.full(.address(.loopbackV4))) { $0.addresses = [address] }
        #expect(other.client == .refused(.nameMismatch))
    }

    @Test(arguments: [
        ("spiffe://td/ns/shop/sa/web", true), ("spiffe://td/ns/*/sa/web", true), ("*", true), ("*.EXAMPLE", true),
        ("spiffe://td/ns/shop/sa/we", false), ("spiffe://TD/*", false), ("web", false), ("", false),
    ])
    func oneNameMatchingOneGlobIsEnough(_ glob: String, _ isAccepted: Bool) throws {
        let endings = try endings(.sans(["spiffe://nobody", glob], sni: nil)) {
            $0.subject = [("CN", "web")]
            $0.uriNames = ["spiffe://td/ns/shop/sa/web"]
            $0.dnsNames = ["web.Example"]
        }
        #expect(endings.client == (isAccepted ? .done : .refused(.nameMismatch)))
    }

    @Test func aMismatchOfGlobsNamesBothSides() throws {
        var scene = TLSScene()
        scene.server = scene.authority.issue("web") { $0.uriNames = ["spiffe://td/web"] }.credentials()
        scene.verify = .sans(["spiffe://td/db"], sni: nil)
        let link = try scene.link()
        _ = link.handshake()
        #expect(link.details.contains { $0.contains("spiffe://td/web") && $0.contains("spiffe://td/db") })
    }

    @Test func aStrangersChainIsRefusedWhateverItsNames() throws {
        for verify in [ServerVerification.chainOnly(sni: nil), .sans(["*"], sni: nil), .full(.dns("web.example"))] {
            var scene = TLSScene()
            scene.server = Authority("Stranger").issue("web") { $0.dnsNames = ["web.example"] }.credentials()
            scene.verify = verify
            #expect(try scene.link().handshake().client == .refused(.unknownAuthority))
        }
    }

    @Test func theServerIsToldTheNameButNeverAnAddress() throws {
        func told(_ verify: ServerVerification) throws -> String? {
            var scene = TLSScene()
            scene.server = scene.authority.issue("web") {
                $0.dnsNames = ["web.example"]
                $0.addresses = [.loopbackV4]
            }.credentials()
            scene.verify = verify
            let link = try scene.link()
            #expect(link.handshake() == (.done, .done))
            return link.serverName
        }
        #expect(try told(.full(.dns("web.example."))) == "web.example")
        #expect(try told(.full(.address(.loopbackV4))) == nil)
        #expect(try told(.chainOnly(sni: "other.example")) == "other.example")
        #expect(try told(.chainOnly(sni: "")) == nil)
    }
}
