/// Numbers of YAML 1.1 as Go reads them, rewritten as JSON: `0x1F` is 31, `012` is 10, `1_000` is 1000, `.5` is 0.5.
enum YAMLNumber {
    /// The text as a JSON number; nil if it is no number.
    static func json(_ text: String) -> String? {
        guard let first = text.utf8.first, "0123456789+-.".utf8.contains(first) else { return nil }
        // A leading point is read without removing underscores.
        let plain = first == UInt8(ascii: ".") ? text : text.filter { $0 != "_" }
        return integer(plain[...]) ?? float(plain[...])
    }

    private static func integer(_ text: Substring) -> String? {
        var digits = text
        let isNegative = digits.hasPrefix("-")
        if isNegative || digits.hasPrefix("+") { digits = digits.dropFirst() }
        guard let first = digits.utf8.first, isDigit(first) else { return nil }
        let (radix, body) = radixAndDigits(digits)
        // Other digits are kept as they are: no number is too long for its text.
        if radix == 10 { return body.utf8.allSatisfy(isDigit) ? (isNegative && body != "0" ? "-" : "") + body : nil }
        guard let lead = body.utf8.first, lead != UInt8(ascii: "+"), lead != UInt8(ascii: "-") else { return nil }
        guard let value = UInt64(body, radix: radix) else { return nil }
        return (isNegative && value != 0 ? "-" : "") + "\(value)"
    }

    private static func radixAndDigits(_ digits: Substring) -> (radix: Int, digits: Substring) {
        guard digits.hasPrefix("0"), digits.utf8.count > 1 else { return (10, digits) }
        let rest = digits.dropFirst(2)
        return switch digits.utf8.dropFirst().first {
        case UInt8(ascii: "x"), UInt8(ascii: "X"): (16, rest)
        case UInt8(ascii: "b"), UInt8(ascii: "B"): (2, rest)
        case UInt8(ascii: "o"), UInt8(ascii: "O"): (8, rest)
        case _: (8, digits.dropFirst())
        }
    }

    /// `[-+]?(.digits | digits[.digits])[e[-+]digits]`, with what JSON asks for put in and what it forbids left out.
    private static func float(_ text: Substring) -> String? {
        var rest = text
        let isNegative = rest.hasPrefix("-")
        if isNegative || rest.hasPrefix("+") { rest = rest.dropFirst() }
        let whole = takeDigits(&rest)
        var fraction: Substring = ""
        if rest.hasPrefix(".") {
            rest = rest.dropFirst()
            fraction = takeDigits(&rest)
        }
        guard !whole.isEmpty || !fraction.isEmpty else { return nil }
        var exponent = ""
        if rest.hasPrefix("e") || rest.hasPrefix("E") {
            rest = rest.dropFirst()
            exponent = "e"
            if rest.hasPrefix("-") || rest.hasPrefix("+") { exponent.append(rest.removeFirst()) }
            let digits = takeDigits(&rest)
            guard !digits.isEmpty else { return nil }
            exponent += digits
        }
        guard rest.isEmpty else { return nil }
        let stripped = whole.drop { $0 == "0" }
        let number =
            (isNegative ? "-" : "") + (stripped.isEmpty ? "0" : stripped) + (fraction.isEmpty ? "" : "." + fraction)
            + exponent
        guard let value = Double(number), value.isFinite else { return nil }
        return number
    }

    private static func takeDigits(_ text: inout Substring) -> Substring {
        let digits = text.prefix { $0.utf8.count == 1 && $0.utf8.allSatisfy(isDigit) }
        text = text[digits.endIndex...]
        return digits
    }

    private static func isDigit(_ byte: UInt8) -> Bool { (48...57).contains(byte) }
}
