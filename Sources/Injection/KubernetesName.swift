/// The forms of names and quantities that Kubernetes takes.
enum KubernetesName {
    /// A DNS subdomain (RFC 1123), as names of Secrets are.
    static func isSubdomain(_ text: String) -> Bool {
        guard text.utf8.count <= 253 else { return false }
        return text.split(separator: ".", omittingEmptySubsequences: false).allSatisfy { isLabel($0) }
    }

    private static func isLabel(_ text: Substring) -> Bool {
        let bytes = text.utf8
        guard (1...253).contains(bytes.count), bytes.first != 45, bytes.last != 45 else { return false }
        return bytes.allSatisfy { isDigit($0) || (97...122).contains($0) || $0 == 45 }
    }

    private static let suffixes: Set<String> = [
        "", "n", "u", "m", "k", "M", "G", "T", "P", "E", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei",
    ]

    /// A positive quantity: digits, perhaps a fraction, perhaps a suffix.
    static func isQuantity(_ text: String) -> Bool {
        var rest = text.utf8.drop(while: isDigit)
        guard rest.startIndex > text.startIndex else { return false }
        if rest.first == UInt8(ascii: ".") {
            let fraction = rest.dropFirst()
            rest = fraction.drop(while: isDigit)
            guard rest.startIndex > fraction.startIndex else { return false }
        }
        return suffixes.contains(String(Substring(rest)))
    }

    private static func isDigit(_ byte: UInt8) -> Bool { (48...57).contains(byte) }
}
