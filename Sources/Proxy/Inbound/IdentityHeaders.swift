/// Header lines that tell the application who the peer is. Rendered once per connection.
///
/// A certificate's names are whatever its issuer let through, so each value is encoded until nothing in it can end a
/// line or a field of it.
enum IdentityHeaders {
    /// - Parameter serverURI: this side's own name, for `By`.
    static func render(
        _ identity: PeerIdentity, selection: IdentityHeaderSelection, serverURI: String?
    ) -> [UInt8] {
        var lines: [UInt8] = []
        func line(_ name: String, _ value: [UInt8]) {
            lines.append(contentsOf: name.utf8)
            lines.append(contentsOf: ": ".utf8)
            lines.append(contentsOf: value)
            lines.append(contentsOf: "\r\n".utf8)
        }
        let summary = identity.summary
        if selection.contains(.tlsInfo) { line("X-Client-TLS-Info", tlsInfo(summary)) }
        if selection.contains(.cn), let name = summary.commonName { line("X-Client-CN", percentEncoded(name)) }
        if selection.contains(.subject) { line("X-Client-Subject", percentEncoded(summary.subject)) }
        if selection.contains(.xfcc) { line("X-Forwarded-Client-Cert", forwardedClientCert(summary, serverURI)) }
        if selection.contains(.clientCert) { line("Client-Cert", clientCert(identity.der)) }
        return lines
    }

    /// Base64 of compact JSON, keys in this order.
    private static func tlsInfo(_ summary: CertificateSummary) -> [UInt8] {
        var json: [UInt8] = []
        JSONText.appendRaw("{\"subject\":", to: &json)
        JSONText.append(summary.subject, to: &json)
        JSONText.appendRaw(",\"uri_sans\":", to: &json)
        appendList(summary.uriNames, to: &json)
        JSONText.appendRaw(",\"dns_sans\":", to: &json)
        appendList(summary.dnsNames, to: &json)
        JSONText.appendRaw(",\"hash\":", to: &json)
        JSONText.append("sha256:" + hex(summary.sha256), to: &json)
        JSONText.appendRaw(",\"not_before\":", to: &json)
        JSONText.append(Timestamp.text(seconds: summary.notBefore), to: &json)
        JSONText.appendRaw(",\"not_after\":", to: &json)
        JSONText.append(Timestamp.text(seconds: summary.notAfter), to: &json)
        JSONText.appendRaw(",\"serial\":", to: &json)
        JSONText.append(summary.serial, to: &json)
        JSONText.appendRaw("}", to: &json)
        var encoded: [UInt8] = []
        Base64.append(json, to: &encoded)
        return encoded
    }

    private static func appendList(_ items: [String], to json: inout [UInt8]) {
        JSONText.appendRaw("[", to: &json)
        for (index, item) in items.enumerated() {
            if index > 0 { JSONText.appendRaw(",", to: &json) }
            JSONText.append(item, to: &json)
        }
        JSONText.appendRaw("]", to: &json)
    }

    /// Envoy's grammar: `By=…;Hash=…;Subject="…";URI=…;DNS=…`.
    private static func forwardedClientCert(_ summary: CertificateSummary, _ serverURI: String?) -> [UInt8] {
        var parts: [[UInt8]] = []
        if let serverURI { parts.append(Array("By=".utf8) + quotedIfNeeded(serverURI)) }
        parts.append(Array("Hash=\(hex(summary.sha256))".utf8))
        parts.append(Array("Subject=".utf8) + quoted(summary.subject))
        for name in summary.uriNames { parts.append(Array("URI=".utf8) + quotedIfNeeded(name)) }
        for name in summary.dnsNames { parts.append(Array("DNS=".utf8) + quotedIfNeeded(name)) }
        return Array(parts.joined(separator: ";".utf8))
    }

    private static func quotedIfNeeded(_ text: String) -> [UInt8] {
        text.utf8.contains { [0x2c, 0x3b, 0x3d, 0x22].contains($0) } ? quoted(text) : percentEncoded(text)
    }

    private static func quoted(_ text: String) -> [UInt8] {
        var result: [UInt8] = [0x22]
        for byte in percentEncoded(text) {
            if byte == 0x22 || byte == 0x5c { result.append(0x5c) }
            result.append(byte)
        }
        return result + [0x22]
    }

    /// RFC 9440: a byte sequence of structured fields.
    private static func clientCert(_ der: [UInt8]) -> [UInt8] {
        var value: [UInt8] = [0x3a]
        Base64.append(der, to: &value)
        return value + [0x3a]
    }

    /// Printable ASCII as it stands; everything else, and `%`, as `%XX`.
    private static func percentEncoded(_ text: String) -> [UInt8] {
        var result: [UInt8] = []
        for byte in text.utf8 {
            if (0x20..<0x7f).contains(byte), byte != 0x25 {
                result.append(byte)
            } else {
                result.append(0x25)
                result.append(contentsOf: hex([byte]).uppercased().utf8)
            }
        }
        return result
    }

    private static func hex(_ bytes: [UInt8]) -> String {
        let digits = Array("0123456789abcdef".utf8)
        return String(decoding: bytes.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }, as: UTF8.self)
    }
}
