/// Fields on their way into an HTTP/2 header block, in one buffer that is used again.
final class HeaderBlock {
    struct Field: Equatable {
        let name: ByteRange
        let value: ByteRange
    }

    let text = ByteWriter()
    private(set) var fields: [Field] = []

    func removeAll() {
        text.removeAll()
        fields.removeAll(keepingCapacity: true)
    }

    func append(_ name: StaticString, _ value: Span<UInt8>) {
        let start = append(name)
        text.append(value)
        close(start, valueStart: start + name.utf8CodeUnitCount)
    }

    func append(_ name: StaticString, _ value: StaticString) {
        let start = append(name)
        _ = append(value)
        close(start, valueStart: start + name.utf8CodeUnitCount)
    }

    func append(_ name: StaticString, number: UInt64) {
        let start = append(name)
        text.appendDecimal(number)
        close(start, valueStart: start + name.utf8CodeUnitCount)
    }

    /// A value in two parts.
    func append(_ name: StaticString, _ first: [UInt8], _ second: Span<UInt8>) {
        let start = append(name)
        text.append(first)
        text.append(second)
        close(start, valueStart: start + name.utf8CodeUnitCount)
    }

    func append(_ line: FieldLine, from bytes: Span<UInt8>) {
        let start = text.count
        text.append(bytes.extracting(line.name.range))
        text.append(bytes.extracting(line.value.range))
        close(start, valueStart: start + Int(line.name.count))
    }

    /// Fields that were rendered as lines, `Name: value CRLF` each.
    func append(lines: [UInt8]) {
        var start = 0
        while start < lines.count {
            var colon = start
            while colon < lines.count, lines[colon] != UInt8(ascii: ":") { colon += 1 }
            var end = colon
            while end < lines.count, lines[end] != 13 { end += 1 }
            guard end + 1 < lines.count else { return }
            let offset = text.count
            text.append(lines.span.extracting(start..<colon))
            text.append(lines.span.extracting(min(colon + 2, end)..<end))
            close(offset, valueStart: offset + colon - start)
            start = end + 2
        }
    }

    private func append(_ text: StaticString) -> Int {
        let start = self.text.count
        self.text.append(text)
        return start
    }

    private func close(_ start: Int, valueStart: Int) {
        fields.append(Field(name: ByteRange(start..<valueStart), value: ByteRange(valueStart..<text.count)))
    }
}
