/// Header lines that tell the application who the peer is. Rendered once per connection.
///
/// A certificate's names are whatever its issuer let through, so each value is encoded until nothing in it can end a
/// line or a field of it.
enum IdentityHeaders {
    /// A header longer than this is left out, since most servers would refuse the whole request for it; only a
    /// certificate with hundreds of names comes near.
    static let maximumValueBytes = 16_384

    /// - Parameter serverURI: this side's own name, for `By`.
    static func render(
        _ identity: PeerIdentity, selection: IdentityHeaderSelection, serverURI: String?
    ) -> [UInt8] {
        var lines: [UInt8] = []
        func line(_ name: String, _ value: [UInt8]) {
            guard value.count <= maximumValueBytes else { return }
            lines.append(contentsOf: name.utf8)
            lines.append(contentsOf: ": ".utf8)
            lines.append(contentsOf: value)
            lines.append(contentsOf: "\r\n".utf8)
        }
        let summary = identity.summary
        if selection.contains(.tlsInfo) { line("X-Client-TLS-Info", tlsInfo(summary)) }
        if selection.contains(.cn), let name = summary.commonName { line("X-Client-CN", plainValue(name)) }
        if selection.contains(.subject) { line("X-Client-Subject", subjectValue(summary.subject)) }
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
        if let serverURI { parts.append(Array("By=".utf8) + nameValue(serverURI)) }
        parts.append(Array("Hash=\(hex(summary.sha256))".utf8))
        parts.append(Array("Subject=\"".utf8) + unambiguous(subjectValue(summary.subject)) + [quote])
        for name in summary.uriNames { parts.append(Array("URI=".utf8) + nameValue(name)) }
        for name in summary.dnsNames { parts.append(Array("DNS=".utf8) + nameValue(name)) }
        return Array(parts.joined(separator: ";".utf8))
    }

    private static let quote = UInt8(ascii: "\"")
    private static let backslash = UInt8(ascii: "\\")
    private static let percent = UInt8(ascii: "%")
    private static let space = UInt8(ascii: " ")

    /// A distinguished name inside quotes. Readers disagree whether `\\"` ends the text, so the escapes `\"` and `\\`
    /// of RFC 2253 become its other spelling of the same bytes, `\22` and `\5C`.
    private static func unambiguous(_ name: [UInt8]) -> [UInt8] {
        var result: [UInt8] = []
        var isEscaped = false
        for byte in name {
            if isEscaped, byte == quote || byte == backslash {
                result.append(contentsOf: hex([byte]).uppercased().utf8)
            } else if byte == quote {
                result.append(contentsOf: "\\22".utf8)
            } else {
                result.append(byte)
            }
            isEscaped = byte == backslash && !isEscaped
        }
        return result
    }

    /// A URI or DNS name: percent-encoded where it is no URI text, in quotes where it holds the grammar's marks.
    private static func nameValue(_ name: String) -> [UInt8] {
        let value = encoded(name) { byte in
            switch byte {
            case quote, backslash, space: false
            case 0x21..<0x7f: true
            case _: false
            }
        }
        let isMarked = value.contains { $0 == UInt8(ascii: ",") || $0 == UInt8(ascii: ";") || $0 == UInt8(ascii: "=") }
        return isMarked ? [quote] + value + [quote] : value
    }

    /// RFC 9440: a byte sequence of structured fields.
    private static func clientCert(_ der: [UInt8]) -> [UInt8] {
        var value: [UInt8] = [0x3a]
        Base64.append(der, to: &value)
        return value + [0x3a]
    }

    /// Printable ASCII as it stands; everything else, `%`, and spaces at the ends, which HTTP drops, as `%XX`.
    private static func plainValue(_ text: String) -> [UInt8] {
        let value = encoded(text) { (0x20..<0x7f).contains($0) && $0 != percent }
        let leading = value.prefix { $0 == space }.count
        let trailing = leading == value.count ? 0 : value.reversed().prefix { $0 == space }.count
        let encodedSpace = Array("%20".utf8)
        return Array(repeatElement(encodedSpace, count: leading).joined())
            + value[leading..<(value.count - trailing)]
            + Array(repeatElement(encodedSpace, count: trailing).joined())
    }

    /// RFC 2253 text has escaped already what is not printable. Its last space, if escaped, would be cut off by HTTP.
    private static func subjectValue(_ subject: String) -> [UInt8] {
        var value = encoded(subject) { (0x20..<0x7f).contains($0) }
        if value.last == space {
            value.removeLast()
            value.append(contentsOf: (value.last == backslash ? "20" : "\\20").utf8)
        }
        return value
    }

    private static func encoded(_ text: String, keeping isKept: (UInt8) -> Bool) -> [UInt8] {
        var result: [UInt8] = []
        for byte in text.utf8 {
            if isKept(byte) {
                result.append(byte)
            } else {
                result.append(percent)
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
