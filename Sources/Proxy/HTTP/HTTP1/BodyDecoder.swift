/// How the end of a body is found (RFC 9112 section 6.3).
enum BodyFraming: Equatable {
    case none
    case length(UInt64)
    case chunked
    case untilClose
}

/// Finds the payload in a body's bytes.
///
/// Bytes that a step did not consume are to be shown again, followed by more: a chunk's size line and the trailer
/// section are read whole. Payload is never held back.
struct BodyDecoder {
    enum Step: Equatable {
        /// Payload at this range; everything up to its end is consumed.
        case data(Range<Int>)
        case needsMore(consumed: Int)
        /// The message ends before this offset.
        case end(consumed: Int)
        case failed(HTTPError)
    }

    private enum State: UInt8 { case counting, sizeLine, chunk, chunkEnd, trailers, untilClose, finished }

    private var state: State
    /// Payload left in the body or in the chunk, in bytes.
    private var remaining: UInt64 = 0
    /// The trailer fields that may be passed on, by ranges into the bytes of the step that answered `.end`.
    private(set) var trailers: [FieldLine] = []

    init(_ framing: BodyFraming) {
        switch framing {
        case .none, .length(0): state = .finished
        case .length(let length):
            state = .counting
            remaining = length
        case .chunked: state = .sizeLine
        case .untilClose: state = .untilClose
        }
    }

    /// Nothing more belongs to this body. A body of known length is finished with its last byte of payload.
    var isFinished: Bool { state == .finished }
    var endsAtClose: Bool { state == .untilClose }

    mutating func next(_ bytes: Span<UInt8>, from offset: Int) -> Step {
        var offset = offset
        while true {
            let available = bytes.count - offset
            switch state {
            case .finished: return .end(consumed: offset)
            case .untilClose:
                return available > 0 ? .data(offset..<bytes.count) : .needsMore(consumed: offset)
            case .counting, .chunk:
                guard available > 0 else { return .needsMore(consumed: offset) }
                let count = Int(min(UInt64(available), remaining))
                remaining -= UInt64(count)
                if remaining == 0 { state = state == .counting ? .finished : .chunkEnd }
                return .data(offset..<offset + count)
            case .chunkEnd:
                guard available >= 2 else {
                    if available == 1, bytes[offset] != 13 { return .failed(HTTPError(.badChunk)) }
                    return .needsMore(consumed: offset)
                }
                guard bytes[offset] == 13, bytes[offset + 1] == 10 else { return .failed(HTTPError(.badChunk)) }
                offset += 2
                state = .sizeLine
            case .sizeLine:
                switch BodyDecoder.readSize(bytes, offset) {
                case .needsMore: return .needsMore(consumed: offset)
                case .failed: return .failed(HTTPError(.badChunk))
                case .size(let size, let end):
                    offset = end
                    remaining = size
                    state = size == 0 ? .trailers : .chunk
                }
            case .trailers: return readTrailers(bytes, offset)
            }
        }
    }

    private enum SizeLine { case size(UInt64, end: Int), needsMore, failed }

    /// `chunk-size [ chunk-ext ] CRLF`. Extensions are dropped, but not unseen: a line feed hidden in one has
    /// smuggled requests past other proxies.
    private static func readSize(_ bytes: Span<UInt8>, _ start: Int) -> SizeLine {
        var offset = start
        var size: UInt64 = 0
        while offset < bytes.count, let digit = hexValue(bytes[offset]) {
            guard offset - start < 15 else { return .failed }
            size = size << 4 | UInt64(digit)
            offset += 1
        }
        guard offset < bytes.count else { return .needsMore }
        guard offset > start else { return .failed }
        if bytes[offset] == 0x3b {
            while offset < bytes.count, ByteClass.isFieldValue(bytes[offset]) { offset += 1 }
        }
        guard offset - start <= HTTPLimits.maxChunkLineBytes else { return .failed }
        guard offset < bytes.count else { return .needsMore }
        guard bytes[offset] == 13 else { return .failed }
        guard offset + 1 < bytes.count else { return .needsMore }
        guard bytes[offset + 1] == 10 else { return .failed }
        return .size(size, end: offset + 2)
    }

    private static func hexValue(_ byte: UInt8) -> UInt8? {
        if byte &- 0x30 < 10 { return byte &- 0x30 }
        let letter = byte | 0x20
        return letter &- 0x61 < 6 ? letter &- 0x61 &+ 10 : nil
    }

    private mutating func readTrailers(_ bytes: Span<UInt8>, _ offset: Int) -> Step {
        // The usual case has none, and no section to allocate.
        if bytes.count - offset >= 2, bytes[offset] == 13, bytes[offset + 1] == 10 {
            state = .finished
            return .end(consumed: offset + 2)
        }
        var section = FieldSection()
        switch section.parse(bytes, from: offset, maxFields: HTTPLimits.maxTrailerFields) {
        case .needsMore:
            guard bytes.count - offset < HTTPLimits.maxTrailerBytes else { return .failed(HTTPError(.badTrailer)) }
            return .needsMore(consumed: offset)
        case .failed: return .failed(HTTPError(.badTrailer))
        case .complete(let end):
            guard end - offset <= HTTPLimits.maxTrailerBytes else { return .failed(HTTPError(.badTrailer)) }
            trailers = Trailers.permitted(section)
            state = .finished
            return .end(consumed: end)
        }
    }
}
