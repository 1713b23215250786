import Addressing
import Testing

@testable import Proxy

/// The header lines of a peer: exact for honest certificates, harmless for the others.
struct IdentityHeadersTests {
    private static let authority = Authority()
    private static let all: IdentityHeaderSelection = [.tlsInfo, .cn, .subject, .xfcc, .clientCert]

    private func identity(_ change: (inout CertificateRequest) -> Void) throws -> PeerIdentity {
        guard let certificate = CertificateHandle(der: IdentityHeadersTests.authority.issue("x", change).certificate)
        else {
            throw TestFailure("no certificate")
        }
        return PeerIdentity(certificate)
    }

    private func headers(
        _ identity: PeerIdentity, _ selection: IdentityHeaderSelection = all, serverURI: String? = nil
    ) -> [String: String] {
        let text = String(
            decoding: IdentityHeaders.render(identity, selection: selection, serverURI: serverURI), as: UTF8.self)
        var found: [String: String] = [:]
        for line in text.split(separator: "\r\n") {
            let parts = line.split(separator: ": ", maxSplits: 1).map(String.init)
            found[parts[0]] = parts.count > 1 ? parts[1] : ""
        }
        return found
    }

    private func honest() throws -> PeerIdentity {
        try identity {
            $0.subject = [("O", "Acme, Inc."), ("CN", "billing")]
            $0.uriNames = ["spiffe://test/ns/shop/sa/billing"]
            $0.dnsNames = ["billing.example", "b2.example"]
        }
    }

    @Test func eachHeaderOfAnHonestPeerIsExact() throws {
        let identity = try honest()
        let headers = headers(identity, serverURI: "spiffe://test/ns/shop/sa/web")
        #expect(headers["X-Client-CN"] == "billing")
        #expect(headers["X-Client-Subject"] == "CN=billing,O=Acme\\, Inc.")
        let hash = identity.summary.sha256.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
        #expect(
            headers["X-Forwarded-Client-Cert"]
                == "By=spiffe://test/ns/shop/sa/web;Hash=\(hash);Subject=\"CN=billing,O=Acme\\, Inc.\""
                + ";URI=spiffe://test/ns/shop/sa/billing;DNS=billing.example;DNS=b2.example")
        let json =
            "{\"subject\":\"CN=billing,O=Acme\\\\, Inc.\",\"uri_sans\":[\"spiffe://test/ns/shop/sa/billing\"]"
            + ",\"dns_sans\":[\"billing.example\",\"b2.example\"],\"hash\":\"sha256:\(hash)\""
            + ",\"not_before\":\"\(Timestamp.text(seconds: identity.summary.notBefore))\""
            + ",\"not_after\":\"\(Timestamp.text(seconds: identity.summary.notAfter))\",\"serial\":\"0x1f\"}"
        #expect(headers["X-Client-TLS-Info"] == base64(Array(json.utf8)))
        #expect(headers["Client-Cert"] == ":\(base64(identity.der)):")
    }

    private func base64(_ bytes: [UInt8]) -> String {
        var text: [UInt8] = []
        Base64.append(bytes, to: &text)
        return String(decoding: text, as: UTF8.self)
    }

    @Test(arguments: [
        ("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg=="), ("\u{fb}\u{ff}", "w7vDvw=="),
    ])
    func base64FollowsTheVectorsOfRFC4648(_ plain: String, _ encoded: String) {
        #expect(base64(Array(plain.utf8)) == encoded)
    }

    @Test func onlyWhatIsSelectedIsWritten() throws {
        let identity = try honest()
        #expect(Set(headers(identity, [.cn, .xfcc]).keys) == ["X-Client-CN", "X-Forwarded-Client-Cert"])
        #expect(headers(identity, []).isEmpty)
    }

    @Test func aPeerWithoutCommonNameHasNoSuchHeader() throws {
        let identity = try identity {
            $0.subject = []
            $0.uriNames = ["spiffe://td/a"]
        }
        #expect(headers(identity)["X-Client-CN"] == nil)
    }

    @Test(arguments: [
        ("line\r\nX-Client-CN: admin", "line%0D%0AX-Client-CN: admin"), ("nul\0byte", "nul%00byte"),
        ("é☃", "%C3%A9%E2%98%83"),
        ("50%41", "50%2541"), (" admin ", "%20admin%20"), ("   ", "%20%20%20"), ("a b", "a b"),
        ("\u{7f}\u{80}", "%7F%C2%80"),
    ])
    func aCommonNameCannotLeaveItsLine(_ name: String, _ value: String) throws {
        let identity = try identity { $0.subject = [("CN", name)] }
        #expect(headers(identity, [.cn]) == ["X-Client-CN": value])
    }

    /// Every byte, in each place that a certificate offers, in each header.
    @Test func noByteOfACertificateEndsALineOrAField() throws {
        for byte in UInt8.min...UInt8.max {
            let name = String(decoding: [0x61, byte, 0x62], as: UTF8.self)
            let identity = try identity {
                $0.subject = [("CN", name), ("O", "\(name)\\"), ("OU", "\(name)\"")]
                $0.uriNames = ["spiffe://\(name)", "u:\";DNS=admin"]
                $0.dnsNames = [name, "d;URI=spiffe://admin", "d\\"]
            }
            let lines = IdentityHeaders.render(identity, selection: IdentityHeadersTests.all, serverURI: name)
            let text = String(decoding: lines, as: UTF8.self)
            #expect(text.split(separator: "\r\n", omittingEmptySubsequences: false).count == 6, "byte \(byte)")
            #expect(lines.allSatisfy { (0x20..<0x7f).contains($0) || $0 == 0x0d || $0 == 0x0a }, "byte \(byte)")
            let forwarded = headers(identity, serverURI: name)["X-Forwarded-Client-Cert"] ?? ""
            for escapesQuotes in [false, true] {
                let keys = XFCC.keys(of: forwarded, escapesBackslashes: escapesQuotes)
                #expect(
                    keys == ["By", "Hash", "Subject", "URI", "URI", "DNS", "DNS", "DNS"], "byte \(byte): \(forwarded)")
            }
        }
    }

    @Test func aURIIsNotEncodedTwice() throws {
        let identity = try identity { $0.uriNames = ["spiffe://td/a%20b", "spiffe://td/a b", "urn:x,y=1"] }
        let value = try #require(headers(identity)["X-Forwarded-Client-Cert"])
        #expect(value.hasSuffix(";URI=spiffe://td/a%20b;URI=spiffe://td/a%20b;URI=\"urn:x,y=1\""))
    }

    @Test func theSubjectOfXFCCHoldsNoAmbiguousEscape() throws {
        let identity = try identity { $0.subject = [("CN", "say \"hi\" \\"), ("O", "a,b")] }
        let value = try #require(headers(identity)["X-Forwarded-Client-Cert"])
        #expect(value.contains(";Subject=\"O=a\\,b,CN=say \\22hi\\22 \\5C\""))
        #expect(headers(identity)["X-Client-Subject"] == "O=a\\,b,CN=say \\\"hi\\\" \\\\")
    }

    @Test func aHeaderThatNoServerWouldTakeIsLeftOut() throws {
        let identity = try identity { $0.uriNames = (0..<600).map { "spiffe://td/ns/some-long-namespace/sa/\($0)" } }
        #expect(identity.summary.uriNames.count == 600)
        #expect(Set(headers(identity).keys).isDisjoint(with: ["X-Forwarded-Client-Cert", "X-Client-TLS-Info"]))
        #expect(headers(identity)["X-Client-CN"] == "x")
    }

    @Test func theLastCommonNameCounts() throws {
        let identity = try identity { $0.subject = [("CN", "unit"), ("CN", "person")] }
        #expect(headers(identity)["X-Client-CN"] == "person")
    }

    @Test(arguments: [(UInt64(0), "0x0"), (1, "0x1"), (0x0abc, "0xabc"), (.max, "0xffffffffffffffff")])
    func serialsAreWrittenAsNumbers(_ serial: UInt64, _ text: String) throws {
        #expect(try identity { $0.serial = serial }.summary.serial == text)
    }

    @Test func addressesAreReadInBothFamilies() throws {
        let addresses = ["10.0.0.1", "fd00::1"].compactMap { IPAddress($0) }
        #expect(try identity { $0.addresses = addresses }.summary.addresses == addresses)
    }
}

/// A reader of Envoy's grammar as others have written it, in both opinions about `\\`.
private enum XFCC {
    static func keys(of value: String, escapesBackslashes: Bool) -> [String] {
        var keys: [String] = []
        var key = ""
        var isKey = true
        var isQuoted = false
        var previous: Character?
        for character in value {
            defer { previous = escapesBackslashes && previous == "\\" && character == "\\" ? nil : character }
            if character == "\"", previous != "\\" { isQuoted.toggle() }
            if isQuoted { continue }
            switch character {
            case ",": keys.append("second element")
            case ";": isKey = true
            case "=" where isKey:
                keys.append(key)
                key = ""
                isKey = false
            case _ where isKey: key.append(character)
            case _: break
            }
        }
        return isQuoted ? keys + ["open quote"] : keys
    }
}
