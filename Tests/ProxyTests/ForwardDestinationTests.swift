import Testing

@testable import Proxy

@Suite struct ForwardDestinationTests {
    @Test(
        arguments: [
            ("web", "web", 443), ("Web.Example:8080", "web.example", 8080), ("127.0.0.1:1", "127.0.0.1", 1),
            ("[FD00::1]", "fd00::1", 443), ("[::1]:65535", "::1", 65535), ("a_b.c-d.", "a_b.c-d.", 443),
            ("web:", "web", 443),
        ] as [(String, String, UInt16)])
    func hostAndPortAreTakenApart(_ authority: String, _ host: String, _ port: UInt16) {
        let destination = ForwardDestination(authority, defaultPort: 443)
        #expect(destination?.host == host)
        #expect(destination?.port == port)
    }

    @Test(arguments: [
        "", ":80", "web:0", "web:65536", "web:8o", "[]", "[web]", "[127.0.0.1]", "[::1", "::1", "[fe80::1%eth0]",
        "a%20b", ".web", "a@b", "a,b", "a\u{0}b",
    ])
    func whatIsNoDestinationIsRefused(_ authority: String) {
        #expect(ForwardDestination(authority, defaultPort: 443) == nil)
    }

    @Test func aTunnelNeedsAPort() {
        #expect(ForwardDestination("web", defaultPort: nil) == nil)
        #expect(ForwardDestination("web:", defaultPort: nil) == nil)
        #expect(ForwardDestination("web:443", defaultPort: nil)?.port == 443)
    }
}
