/// Fields on their way into an HTTP/2 header block, in one buffer that is used again.
struct HeaderBlock {
    struct Field: Equatable {
        let name: ByteRange
        let value: ByteRange
    }

    private(set) var bytes: [UInt8] = []
    private(set) var fields: [Field] = []

    mutating func removeAll() {
        bytes.removeAll(keepingCapacity: true)
        fields.removeAll(keepingCapacity: true)
    }

    mutating func append(_ name: StaticString, _ value: Span<UInt8>) {
        let start = append(name)
        append(value)
        close(start, valueStart: start + name.utf8CodeUnitCount)
    }

    mutating func append(_ name: StaticString, _ value: StaticString) {
        let start = append(name)
        _ = append(value)
        close(start, valueStart: start + name.utf8CodeUnitCount)
    }

    mutating func append(_ name: StaticString, number: UInt64) {
        let start = append(name)
        appendDecimal(number)
        close(start, valueStart: start + name.utf8CodeUnitCount)
    }

    /// A value in two parts.
    mutating func append(_ name: StaticString, _ first: [UInt8], _ second: Span<UInt8>) {
        let start = append(name)
        append(first.span)
        append(second)
        close(start, valueStart: start + name.utf8CodeUnitCount)
    }

    mutating func append(_ line: FieldLine, from text: Span<UInt8>) {
        let start = bytes.count
        append(text.extracting(line.name.range))
        append(text.extracting(line.value.range))
        close(start, valueStart: start + Int(line.name.count))
    }

    /// Fields that were rendered as lines, `Name: value CRLF` each.
    mutating func append(lines text: [UInt8]) {
        var start = 0
        while start < text.count {
            var colon = start
            while colon < text.count, text[colon] != UInt8(ascii: ":") { colon += 1 }
            var end = colon
            while end < text.count, text[end] != 13 { end += 1 }
            guard end + 1 < text.count else { return }
            let offset = bytes.count
            append(text.span.extracting(start..<colon))
            append(text.span.extracting(min(colon + 2, end)..<end))
            close(offset, valueStart: offset + colon - start)
            start = end + 2
        }
    }

    private mutating func append(_ text: StaticString) -> Int {
        let start = bytes.count
        unsafe bytes.append(contentsOf: UnsafeBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
        return start
    }

    private mutating func append(_ span: Span<UInt8>) {
        unsafe span.withUnsafeBufferPointer { unsafe bytes.append(contentsOf: $0) }
    }

    private mutating func appendDecimal(_ value: UInt64) {
        var divisor: UInt64 = 1
        while value / divisor >= 10 { divisor *= 10 }
        while divisor > 0 {
            bytes.append(UInt8(value / divisor % 10) + 0x30)
            divisor /= 10
        }
    }

    private mutating func close(_ start: Int, valueStart: Int) {
        fields.append(Field(name: ByteRange(start..<valueStart), value: ByteRange(valueStart..<bytes.count)))
    }
}
