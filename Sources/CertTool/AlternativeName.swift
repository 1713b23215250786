package import Addressing

/// A name that a certificate is for (RFC 5280 section 4.2.1.6).
package enum AlternativeName: Sendable, Equatable {
    case dns(String)
    case address(IPAddress)
    case uri(String)

    /// RFC 1035 section 2.3.4.
    package static let maximumDNSBytes = 253
    /// SPIFFE's own bound.
    package static let maximumURIBytes = 2_048

    /// Why no certificate can be for it, a sentence; nil for a good one.
    var problem: String? {
        switch self {
        case .address: nil
        case .dns(let name):
            AlternativeName.isDNS(name) ? nil : "\"\(name)\" is no DNS name: write one like web.demo.svc"
        case .uri(let name):
            AlternativeName.isURI(name)
                ? nil : "\"\(name)\" is no URI: write one like spiffe://cluster.local/ns/demo/sa/web"
        }
    }

    /// Labels of letters, digits, hyphens and underscores; the first may be a star.
    private static func isDNS(_ name: String) -> Bool {
        guard (1...maximumDNSBytes).contains(name.utf8.count) else { return false }
        let labels = name.split(separator: ".", omittingEmptySubsequences: false)
        for (index, label) in labels.enumerated() {
            if index == 0, label == "*", labels.count > 1 { continue }
            let isWord = label.utf8.allSatisfy { byte in
                switch byte {
                case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                    UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "_"):
                    true
                case _: false
                }
            }
            guard isWord, (1...63).contains(label.utf8.count), !label.hasPrefix("-"), !label.hasSuffix("-") else {
                return false
            }
        }
        return true
    }

    /// A scheme, a colon and visible ASCII (RFC 3986).
    private static func isURI(_ name: String) -> Bool {
        guard (1...maximumURIBytes).contains(name.utf8.count), let colon = name.firstIndex(of: ":") else {
            return false
        }
        let scheme = name[..<colon].utf8
        guard let first = scheme.first, (first | 0x20) &- UInt8(ascii: "a") < 26 else { return false }
        let isScheme = scheme.allSatisfy {
            ($0 | 0x20) &- UInt8(ascii: "a") < 26 || $0 &- UInt8(ascii: "0") < 10 || $0 == UInt8(ascii: "+")
                || $0 == UInt8(ascii: "-") || $0 == UInt8(ascii: ".")
        }
        return isScheme && name.utf8.allSatisfy { (0x21..<0x7f).contains($0) } && name[colon...].utf8.count > 1
    }
}
