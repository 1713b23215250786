/// Trailer sections on their way between the protocols (RFC 9110 section 6.5).
enum Trailers {
    /// The fields of a section that may be passed on; none when it is malformed.
    static func read(_ text: Span<UInt8>) -> [FieldLine] {
        var section = FieldSection()
        guard case .complete = section.parse(text, from: 0, maxFields: HTTPLimits.maxTrailerFields) else { return [] }
        return permitted(section)
    }

    /// Fields of framing, routing and identity are not trailers (RFC 9110 section 6.5.1).
    static func permitted(_ section: FieldSection) -> [FieldLine] {
        section.lines.filter { ($0.known == .other) && !$0.isHopByHop }
    }

    static func block(_ trailers: [FieldLine], from bytes: Span<UInt8>) -> HeaderBlock {
        let block = HeaderBlock()
        for trailer in trailers { block.append(trailer, from: bytes) }
        return block
    }
}
