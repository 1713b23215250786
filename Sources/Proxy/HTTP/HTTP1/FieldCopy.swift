/// Copies field lines as they stand: neighbours that are kept go over in one piece.
enum FieldCopy {
    static func append(
        _ lines: [FieldLine], from bytes: Span<UInt8>, to writer: ByteWriter, where keeps: (FieldLine) -> Bool
    ) {
        var start = 0
        var end = 0
        for line in lines {
            let range = line.line.range
            guard keeps(line) else {
                if end > start { writer.append(bytes.extracting(start..<end)) }
                (start, end) = (range.upperBound, range.upperBound)
                continue
            }
            if start == end { start = range.lowerBound }
            end = range.upperBound
        }
        if end > start { writer.append(bytes.extracting(start..<end)) }
    }
}
