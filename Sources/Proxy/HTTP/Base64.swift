/// Base64 with padding (RFC 4648 section 4).
package enum Base64 {
    package static func text(_ bytes: [UInt8]) -> String {
        var output: [UInt8] = []
        output.reserveCapacity((bytes.count + 2) / 3 * 4)
        append(bytes, to: &output)
        return String(decoding: output, as: UTF8.self)
    }

    /// The bytes; nil for what is no base64 with padding.
    package static func bytes(_ text: String) -> [UInt8]? {
        let digits = Array(text.utf8)
        guard digits.count % 4 == 0 else { return nil }
        var output: [UInt8] = []
        output.reserveCapacity(digits.count / 4 * 3)
        for start in stride(from: 0, to: digits.count, by: 4) {
            let isLast = start + 4 == digits.count
            let padding = !isLast || digits[start + 3] != equals ? 0 : digits[start + 2] == equals ? 2 : 1
            var word: UInt32 = 0
            for index in start..<start + 4 - padding {
                guard let value = value(of: digits[index]) else { return nil }
                word = word << 6 | value
            }
            word <<= UInt32(6 * padding)
            // What the padding cuts off must be zero (RFC 4648 section 3.5).
            guard word & (UInt32(1) << UInt32(8 * padding) - 1) == 0 else { return nil }
            for index in 0..<3 - padding { output.append(UInt8(truncatingIfNeeded: word >> UInt32(16 - 8 * index))) }
        }
        return output
    }

    private static let equals = UInt8(ascii: "=")

    private static func value(of digit: UInt8) -> UInt32? {
        switch digit {
        case UInt8(ascii: "A")...UInt8(ascii: "Z"): UInt32(digit - UInt8(ascii: "A"))
        case UInt8(ascii: "a")...UInt8(ascii: "z"): UInt32(digit - UInt8(ascii: "a")) + 26
        case UInt8(ascii: "0")...UInt8(ascii: "9"): UInt32(digit - UInt8(ascii: "0")) + 52
        case UInt8(ascii: "+"): 62
        case UInt8(ascii: "/"): 63
        case _: nil
        }
    }

    static func append(_ bytes: [UInt8], to output: inout [UInt8]) {
        var index = 0
        while index < bytes.count {
            let rest = bytes.count - index
            let word =
                UInt32(bytes[index]) << 16 | (rest > 1 ? UInt32(bytes[index + 1]) << 8 : 0)
                | (rest > 2 ? UInt32(bytes[index + 2]) : 0)
            output.append(digit(word >> 18))
            output.append(digit(word >> 12))
            output.append(rest > 1 ? digit(word >> 6) : UInt8(ascii: "="))
            output.append(rest > 2 ? digit(word) : UInt8(ascii: "="))
            index += 3
        }
    }

    private static func digit(_ word: UInt32) -> UInt8 {
        let value = UInt8(truncatingIfNeeded: word & 63)
        return switch value {
        case 0..<26: value + UInt8(ascii: "A")
        case 26..<52: value - 26 + UInt8(ascii: "a")
        case 52..<62: value - 52 + UInt8(ascii: "0")
        case 62: UInt8(ascii: "+")
        case _: UInt8(ascii: "/")
        }
    }
}
