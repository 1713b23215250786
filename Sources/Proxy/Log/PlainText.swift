/// Appends text for people to lines: what could break a line, or a terminal, is quoted and escaped.
enum PlainText {
    /// As it stands when it is one plain word, else in quotes with JSON's escapes.
    static func append(_ bytes: Span<UInt8>, to line: inout [UInt8]) {
        guard isWord(bytes) else { return JSONText.append(bytes, to: &line) }
        for index in bytes.indices { line.append(bytes[index]) }
    }

    static func append(_ text: String, to line: inout [UInt8]) {
        let bytes = Array(text.utf8)
        append(bytes.span, to: &line)
    }

    /// `2026-01-31T23:59:59.123Z INFO  `
    static func appendHead(microseconds: Int64, _ level: StaticString, to line: inout [UInt8]) {
        Timestamp.append(microseconds: microseconds, to: &line)
        line.append(0x20)
        JSONText.appendRaw(level, to: &line)
        for _ in level.utf8CodeUnitCount..<6 { line.append(0x20) }
    }

    /// ` key=value`
    static func append(_ key: String, _ value: String, to line: inout [UInt8]) {
        line.append(0x20)
        append(key, to: &line)
        line.append(0x3d)
        append(value, to: &line)
    }

    /// A message: spaces need no quotes, anything but ASCII text is quoted and escaped.
    static func appendMessage(_ text: String, to line: inout [UInt8]) {
        let bytes = Array(text.utf8)
        if bytes.allSatisfy({ (0x20..<0x7f).contains($0) }) { return line.append(contentsOf: bytes) }
        JSONText.append(bytes.span, to: &line)
    }

    private static func isWord(_ bytes: Span<UInt8>) -> Bool {
        guard !bytes.isEmpty else { return false }
        for index in bytes.indices {
            let byte = bytes[index]
            guard byte > 0x20, byte < 0x7f, byte != 0x22, byte != 0x3d, byte != 0x5c else { return false }
        }
        return true
    }
}
