/// Base64 with padding (RFC 4648 section 4).
enum Base64 {
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
