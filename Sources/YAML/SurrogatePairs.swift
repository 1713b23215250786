/// JSON writes a character beyond U+FFFF as two escapes, `\ud83d\ude00`, which YAML does not know: it has `\U0001f600`.
enum SurrogatePairs {
    /// Text of JSON with such pairs as YAML's escape. Anything else stays, halves without their other half among it: the
    /// reader refuses those.
    static func joined(_ text: ArraySlice<UInt8>) -> ArraySlice<UInt8> {
        var output: [UInt8] = []
        var copied = text.startIndex
        var index = text.startIndex
        while let backslash = text[index...].firstIndex(of: UInt8(ascii: "\\")) {
            index = min(backslash + 2, text.endIndex)
            guard let high = unit(text, backslash), (0xd800...0xdbff).contains(high),
                let low = unit(text, backslash + 6), (0xdc00...0xdfff).contains(low)
            else { continue }
            let scalar = 0x10000 + (high - 0xd800) << 10 + (low - 0xdc00)
            let digits = String(scalar, radix: 16)
            output += text[copied..<backslash]
            output += "\\U\(String(repeating: "0", count: 8 - digits.utf8.count))\(digits)".utf8
            index = backslash + 12
            copied = index
        }
        return copied == text.startIndex ? text : ArraySlice(output + text[copied...])
    }

    /// The number of an escape, `\u` and four hexadecimal digits, that begins here.
    private static func unit(_ text: ArraySlice<UInt8>, _ start: Int) -> Int? {
        guard start + 6 <= text.endIndex, text[start] == UInt8(ascii: "\\"), text[start + 1] == UInt8(ascii: "u") else {
            return nil
        }
        var value = 0
        for byte in text[(start + 2)..<(start + 6)] {
            switch byte {
            case 48...57: value = value << 4 + Int(byte) - 48
            case 65...70: value = value << 4 + Int(byte) - 55
            case 97...102: value = value << 4 + Int(byte) - 87
            case _: return nil
            }
        }
        return value
    }
}
