/// The forms of names and quantities that Kubernetes takes.
enum KubernetesName {
    static let maximumLabel = 63

    /// A DNS subdomain (RFC 1123), as names of Secrets are.
    static func isSubdomain(_ text: String) -> Bool {
        guard text.utf8.count <= 253 else { return false }
        return text.split(separator: ".", omittingEmptySubsequences: false).allSatisfy { isLabel($0) }
    }

    /// A DNS label (RFC 1035), as names of Services are.
    static func isServiceName(_ text: String) -> Bool {
        isLabel(Substring(text)) && text.utf8.count <= maximumLabel && text.utf8.first.map { !isDigit($0) } ?? false
    }

    private static func isLabel(_ text: Substring) -> Bool {
        let bytes = text.utf8
        guard (1...253).contains(bytes.count), bytes.first != 45, bytes.last != 45 else { return false }
        return bytes.allSatisfy { isDigit($0) || (97...122).contains($0) || $0 == 45 }
    }

    private static let suffixes: [String: Double] = [
        "": 1, "n": 1e-9, "u": 1e-6, "m": 1e-3, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "P": 1e15, "E": 1e18,
        "Ki": 0x1p10, "Mi": 0x1p20, "Gi": 0x1p30, "Ti": 0x1p40, "Pi": 0x1p50, "Ei": 0x1p60,
    ]

    /// How much a positive quantity is: digits, perhaps a fraction, perhaps a suffix. nil if the text is none.
    static func quantity(_ text: String) -> Double? {
        var rest = text.utf8.drop(while: isDigit)
        guard rest.startIndex > text.startIndex else { return nil }
        if rest.first == UInt8(ascii: ".") {
            let fraction = rest.dropFirst()
            rest = fraction.drop(while: isDigit)
            guard rest.startIndex > fraction.startIndex else { return nil }
        }
        guard let unit = suffixes[String(Substring(rest))], let number = Double(text[..<rest.startIndex]) else {
            return nil
        }
        return number * unit
    }

    private static func isDigit(_ byte: UInt8) -> Bool { (48...57).contains(byte) }
}
