/// Bytes on their way out, in a buffer that is used again.
///
/// A message is many small pieces. An array would ask before each of them whether it is shared and whether somebody else
/// is at it; this class owns its storage, so a piece costs a comparison and a copy.
@safe final class ByteWriter {
    private var storage: UnsafeMutablePointer<UInt8>
    private(set) var capacity: Int
    private(set) var count = 0

    init(capacity: Int = 1_024) {
        self.capacity = capacity
        unsafe storage = .allocate(capacity: capacity)
    }

    deinit { unsafe storage.deallocate() }

    /// What has been written, until something more is.
    func withSpan<Result>(_ body: (Span<UInt8>) -> Result) -> Result {
        body(unsafe UnsafeBufferPointer(start: storage, count: count).span)
    }

    /// A copy of what has been written.
    var bytes: [UInt8] { unsafe Array(UnsafeBufferPointer(start: storage, count: count)) }

    func removeAll() { count = 0 }

    func removeFirst(_ dropped: Int) {
        count -= dropped
        unsafe storage.update(from: storage + dropped, count: count)
    }

    /// Makes room for more bytes after those that are there.
    private func reserve(_ more: Int) {
        if capacity - count < more { resize(to: max(count + more, capacity * 2)) }
    }

    private func resize(to size: Int) {
        capacity = size
        let other = UnsafeMutablePointer<UInt8>.allocate(capacity: size)
        unsafe other.update(from: storage, count: count)
        unsafe storage.deallocate()
        unsafe storage = other
    }

    private func append(_ piece: UnsafeBufferPointer<UInt8>) {
        guard let start = piece.baseAddress else { return }
        reserve(piece.count)
        unsafe (storage + count).update(from: start, count: piece.count)
        count += piece.count
    }

    func append(_ span: Span<UInt8>) {
        unsafe span.withUnsafeBufferPointer { unsafe append($0) }
    }

    func append(_ text: StaticString) {
        unsafe append(UnsafeBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
    }

    func append(_ array: [UInt8]) {
        unsafe array.withUnsafeBufferPointer { unsafe append($0) }
    }

    func append(_ byte: UInt8) {
        reserve(1)
        unsafe storage[count] = byte
        count += 1
    }

    func appendDecimal(_ value: UInt64) {
        var digits = InlineArray<20, UInt8>(repeating: 0)
        var place = digits.count
        var rest = value
        repeat {
            place -= 1
            digits[place] = UInt8(truncatingIfNeeded: rest % 10) + 0x30
            rest /= 10
        } while rest > 0
        append(digits.span.extracting(place...))
    }

    func appendHex(_ value: UInt64) {
        var shift = max(0, (UInt64.bitWidth - value.leadingZeroBitCount - 1) / 4 * 4)
        while shift >= 0 {
            let digit = UInt8(truncatingIfNeeded: value >> UInt64(shift)) & 15
            append(digit < 10 ? digit + 0x30 : digit + 0x57)
            shift -= 4
        }
    }

    // MARK: chunked coding (RFC 9112 section 7.1)

    func appendChunk(_ data: Span<UInt8>) {
        guard !data.isEmpty else { return }  // a chunk of size zero would end the body
        appendHex(UInt64(data.count))
        append("\r\n")
        append(data)
        append("\r\n")
    }

    func appendLastChunk(_ trailers: [FieldLine], from bytes: Span<UInt8>) {
        append("0\r\n")
        for trailer in trailers { append(bytes.extracting(trailer.line.range)) }
        append("\r\n")
    }

    /// The proxy's own answer to a request: one line of plain text.
    func appendErrorResponse(status: UInt16, _ reason: StaticString, close: Bool, headRequest: Bool) {
        append("HTTP/1.1 ")
        appendDecimal(UInt64(status))
        append(" ")
        append(ReasonPhrase.of(status))
        append("\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: ")
        appendDecimal(UInt64(reason.utf8CodeUnitCount + 1))
        append(close ? "\r\nconnection: close\r\n\r\n" : "\r\n\r\n")
        guard !headRequest else { return }
        append(reason)
        append("\n")
    }
}

/// The phrases of the statuses the proxy makes itself (RFC 9110 section 15).
enum ReasonPhrase {
    static func of(_ status: UInt16) -> StaticString {
        switch status {
        case 200: "OK"
        case 400: "Bad Request"
        case 403: "Forbidden"
        case 404: "Not Found"
        case 405: "Method Not Allowed"
        case 408: "Request Timeout"
        case 413: "Content Too Large"
        case 414: "URI Too Long"
        case 415: "Unsupported Media Type"
        case 431: "Request Header Fields Too Large"
        case 501: "Not Implemented"
        case 502: "Bad Gateway"
        case 503: "Service Unavailable"
        case 504: "Gateway Timeout"
        case 505: "HTTP Version Not Supported"
        case _: "Error"
        }
    }
}
