/// Bytes on their way out, in a buffer that is used again.
struct ByteWriter {
    private(set) var bytes: [UInt8] = []

    var count: Int { bytes.count }

    mutating func removeAll() { bytes.removeAll(keepingCapacity: true) }

    mutating func append(_ span: Span<UInt8>) {
        unsafe span.withUnsafeBufferPointer { unsafe bytes.append(contentsOf: $0) }
    }

    mutating func append(_ text: StaticString) {
        unsafe bytes.append(contentsOf: UnsafeBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
    }

    mutating func append(_ array: [UInt8]) { bytes.append(contentsOf: array) }

    mutating func append(_ byte: UInt8) { bytes.append(byte) }

    mutating func appendDecimal(_ value: UInt64) {
        var divisor: UInt64 = 1
        while value / divisor >= 10 { divisor *= 10 }
        while divisor > 0 {
            bytes.append(UInt8(value / divisor % 10) + 0x30)
            divisor /= 10
        }
    }

    mutating func appendHex(_ value: UInt64) {
        var shift = max(0, (UInt64.bitWidth - value.leadingZeroBitCount - 1) / 4 * 4)
        while shift >= 0 {
            let digit = UInt8(truncatingIfNeeded: value >> UInt64(shift)) & 15
            bytes.append(digit < 10 ? digit + 0x30 : digit + 0x57)
            shift -= 4
        }
    }

    // MARK: chunked coding (RFC 9112 section 7.1)

    mutating func appendChunk(_ data: Span<UInt8>) {
        guard !data.isEmpty else { return }  // a chunk of size zero would end the body
        appendHex(UInt64(data.count))
        append("\r\n")
        append(data)
        append("\r\n")
    }

    mutating func appendLastChunk(_ trailers: [FieldLine], from bytes: Span<UInt8>) {
        append("0\r\n")
        for trailer in trailers { append(bytes.extracting(trailer.line.range)) }
        append("\r\n")
    }

    /// The proxy's own answer to a request: one line of plain text.
    mutating func appendErrorResponse(status: UInt16, _ reason: StaticString, close: Bool, headRequest: Bool) {
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
