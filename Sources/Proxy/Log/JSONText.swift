/// Appends JSON to bytes (RFC 8259), for lines that are written too often for an encoder.
enum JSONText {
    /// A quoted string. Bytes that are not UTF-8 become U+FFFD, so that a line is always valid JSON. What is no text but
    /// steers a terminal, breaks a line or turns the reading direction is escaped.
    static func append(_ bytes: Span<UInt8>, to line: inout [UInt8]) {
        line.append(0x22)
        var index = 0
        while index < bytes.count {
            let byte = bytes[index]
            switch byte {
            case 0x22, 0x5c:
                line.append(0x5c)
                line.append(byte)
            case 0x20..<0x7f: line.append(byte)
            case 0x0a: appendRaw("\\n", to: &line)
            case 0x0d: appendRaw("\\r", to: &line)
            case 0x09: appendRaw("\\t", to: &line)
            case 0..<0x20, 0x7f:
                appendRaw("\\u00", to: &line)
                line.append(hex(byte >> 4))
                line.append(hex(byte & 15))
            case _:
                let length = utf8Length(bytes, at: index)
                if length == 0 {
                    appendRaw("\\ufffd", to: &line)
                } else if let steering = steering(bytes, at: index, length) {
                    appendRaw("\\u", to: &line)
                    for shift in [12, 8, 4, 0] as [UInt16] { line.append(hex(UInt8(steering >> shift & 15))) }
                    index += length - 1
                } else {
                    for offset in 0..<length { line.append(bytes[index + offset]) }
                    index += length - 1
                }
            }
            index += 1
        }
        line.append(0x22)
    }

    static func append(_ text: String, to line: inout [UInt8]) {
        let bytes = Array(text.utf8)
        append(bytes.span, to: &line)
    }

    /// Text as it stands, without quotes.
    static func appendRaw(_ text: StaticString, to line: inout [UInt8]) {
        unsafe line.append(contentsOf: UnsafeBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
    }

    static func append(_ number: Int64, to line: inout [UInt8]) { line.append(contentsOf: String(number).utf8) }

    private static func hex(_ nibble: UInt8) -> UInt8 { nibble < 10 ? nibble + 0x30 : nibble + 0x57 }

    /// The scalar of a well-formed sequence, when it steers whoever shows the text: C1 controls (U+009B begins a terminal's
    /// commands as ESC [ does), the line and paragraph separators, and the bidirectional controls.
    private static func steering(_ bytes: Span<UInt8>, at index: Int, _ length: Int) -> UInt16? {
        let second = UInt16(bytes[index + 1] & 0x3f)
        switch (bytes[index], length) {
        case (0xc2, 2): return second < 0x20 ? 0x80 | second : nil
        case (0xd8, 2): return second == 0x1c ? 0x061c : nil
        case (0xe2, 3):
            let scalar = 0x2000 | second << 6 | UInt16(bytes[index + 2] & 0x3f)
            switch scalar {
            case 0x200e, 0x200f, 0x2028...0x202e, 0x2066...0x2069: return scalar
            case _: return nil
            }
        case _: return nil
        }
    }

    /// Length of the well-formed sequence at an offset, 0 for none (Unicode table 3-7).
    private static func utf8Length(_ bytes: Span<UInt8>, at index: Int) -> Int {
        let first = bytes[index]
        let length = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2
        guard first >= 0xc2, first <= 0xf4, index + length <= bytes.count else { return 0 }
        for offset in 1..<length where bytes[index + offset] & 0xc0 != 0x80 { return 0 }
        let second = bytes[index + 1]
        switch first {
        case 0xe0: return second >= 0xa0 ? length : 0
        case 0xed: return second < 0xa0 ? length : 0
        case 0xf0: return second >= 0x90 ? length : 0
        case 0xf4: return second < 0x90 ? length : 0
        case _: return length
        }
    }
}
