/// What the bytes of an HTTP/2 connection meant, in order.
enum HTTP2Event: Equatable {
    /// A request's or an answer's head, in HTTP/1.1's form, at this place of the events' text.
    case head(HTTP2Slot, Range<Int>, endsStream: Bool)
    /// The head is larger than the session takes; its beginning lies at this place of the events' text.
    case headTooLarge(HTTP2Slot, Range<Int>)
    /// The head cannot be put into HTTP/1.1's form.
    case headMalformed(HTTP2Slot)
    /// A trailer section, at this place of the events' text; the stream ends with it.
    case trailers(HTTP2Slot, Range<Int>)
    /// Payload, at this place of the bytes received.
    case data(HTTP2Slot, Range<Int>)
    /// The peer has sent all of its body.
    case end(HTTP2Slot)
    /// The stream is over; with an error code (RFC 9113 section 7), 0 for none. Its slot is to be freed.
    case closed(HTTP2Slot, code: UInt32)
    /// The peer takes no new streams.
    case goAway
}

/// A stream's place in its session; used again when the stream is over.
typealias HTTP2Slot = Int

/// Error codes (RFC 9113 section 7) that the proxy uses itself.
enum HTTP2ErrorCode {
    static let none: UInt32 = 0
    static let internalError: UInt32 = 2
    static let refusedStream: UInt32 = 7
    static let cancel: UInt32 = 8
    static let enhanceYourCalm: UInt32 = 11
}

/// Events in order, with the texts that they point into. Used again.
struct HTTP2Events {
    private(set) var list: [HTTP2Event] = []
    /// Heads and trailers, in HTTP/1.1's form.
    private(set) var text: [UInt8] = []

    var isEmpty: Bool { list.isEmpty }

    mutating func append(_ event: HTTP2Event) { list.append(event) }

    mutating func keep(_ section: [UInt8]) -> Range<Int> {
        let start = text.count
        text.append(contentsOf: section)
        return start..<text.count
    }

    mutating func removeAll() {
        list.removeAll(keepingCapacity: list.capacity <= 1_024)
        text.removeAll(keepingCapacity: text.capacity <= 65_536)
    }
}
