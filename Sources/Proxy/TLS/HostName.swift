/// Names of servers, before OpenSSL sees them.
enum HostName {
    /// The name as a certificate spells it, without the root's dot; nil for what no certificate can prove.
    ///
    /// OpenSSL stops reading at a zero byte, does not check an empty name, and lets a leading dot stand for every
    /// subdomain; the name may come from a request.
    static func checkable(_ name: String) -> String? {
        var bytes = Array(name.utf8)
        if bytes.last == UInt8(ascii: ".") { bytes.removeLast() }
        guard let first = bytes.first, first != UInt8(ascii: "."), bytes.count <= maximumBytes else { return nil }
        guard bytes.allSatisfy({ isLetterOrDigit($0) || marks.contains($0) }) else { return nil }
        return String(decoding: bytes, as: UTF8.self)
    }

    /// The name for a message, whatever is in it.
    static func printable(_ name: String) -> String {
        String(
            decoding: name.utf8.prefix(maximumBytes).map { (0x20..<0x7f).contains($0) ? $0 : UInt8(ascii: "?") },
            as: UTF8.self)
    }

    /// RFC 1035 section 2.3.4.
    private static let maximumBytes = 253
    /// The underscore is no host name's (RFC 952), but container names and services use it.
    private static let marks = Array("-._".utf8)

    private static func isLetterOrDigit(_ byte: UInt8) -> Bool {
        switch byte {
        case 0x30...0x39, 0x41...0x5a, 0x61...0x7a: true
        case _: false
        }
    }
}
