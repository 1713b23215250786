/// A response's head, by ranges into the buffer it was parsed from.
struct ResponseHead {
    fileprivate(set) var status: UInt16 = 0
    fileprivate(set) var minorVersion: UInt8 = 1
    fileprivate(set) var reason = ByteRange.empty
    fileprivate(set) var fields = FieldSection()
    fileprivate(set) var framing = BodyFraming.none
    fileprivate(set) var keepsAlive = true
    /// Length of the head with its empty line, in bytes.
    fileprivate(set) var byteCount = 0

    /// Came by HTTP/2 without the body that it might have had. HTTP/1.1 cannot see that unless it is said.
    fileprivate(set) var lacksBody = false

    /// 1xx and 204 have no length, whatever they say (RFC 9110 section 8.6).
    var announcedLength: UInt64? { status < 200 || status == 204 ? nil : fields.contentLength }
}

/// Reads response heads (RFC 9112 sections 4, 6.3). Shared by all connections of a worker.
struct ResponseParser {
    private(set) var head = ResponseHead()
    private let limits: HTTPLimits

    /// An upstream's head may be larger than a client's: cookies are set here.
    init(limits: HTTPLimits = HTTPLimits(maxHeadBytes: 65_536)) { self.limits = limits }

    /// - Parameters:
    ///   - scanned: how many of the bytes an earlier call has seen.
    ///   - method: of the request that is answered; an answer to HEAD has no body.
    mutating func parse(_ bytes: Span<UInt8>, resumingAt scanned: Int, for method: Method) -> ParseOutcome {
        var outcome = ParseOutcome.needsMore
        if scanned == 0 || HeadBounds.hasLineEnd(bytes, from: scanned) { outcome = read(bytes, method) }
        return HeadBounds.areExceeded(outcome, seen: bytes.count, head: head.byteCount, limits)
            ? .failed(HTTPError(.headTooLarge)) : outcome
    }

    private mutating func read(_ bytes: Span<UInt8>, _ method: Method) -> ParseOutcome {
        var offset: Int
        head.lacksBody = false
        switch readStatusLine(bytes) {
        case .needsMore: return .needsMore
        case .failed(let kind): return .failed(HTTPError(kind))
        case .complete(let end): offset = end
        }
        switch head.fields.parse(bytes, from: offset, maxFields: limits.maxFields) {
        case .needsMore: return .needsMore
        case .failed(let kind): return .failed(HTTPError(kind))
        case .complete(let end): offset = end
        }
        head.byteCount = offset
        if let problem = settle(method) { return .failed(HTTPError(problem)) }
        return .complete
    }

    private mutating func readStatusLine(_ bytes: Span<UInt8>) -> FieldSection.Outcome {
        let version: StaticString = "HTTP/1."
        let end = bytes.count
        for index in 0..<min(end, 7) where unsafe bytes[index] != version.utf8Start[index] {
            return .failed(.badStatusLine)
        }
        guard end >= 13 else { return .needsMore }
        let minor = bytes[7] &- 0x30
        guard minor < 2, bytes[8] == 0x20 else { return .failed(.badStatusLine) }
        var status: UInt16 = 0
        for index in 9..<12 {
            let digit = bytes[index] &- 0x30
            guard digit < 10 else { return .failed(.badStatusLine) }
            status = status * 10 + UInt16(digit)
        }
        guard (100..<600).contains(status) else { return .failed(.badStatusLine) }
        var offset = 12
        // The space before an empty reason is often left out.
        if bytes[offset] == 0x20 { offset += 1 } else if bytes[offset] != 13 { return .failed(.badStatusLine) }
        let reason = offset
        while offset < end, ByteClass.isFieldValue(bytes[offset]) { offset += 1 }
        guard end - offset >= 2 else { return .needsMore }
        guard bytes[offset] == 13, bytes[offset + 1] == 10 else { return .failed(.badStatusLine) }
        head.status = status
        head.minorVersion = minor
        head.reason = ByteRange(reason..<offset)
        return .complete(offset + 2)
    }

    /// Says of the head just read that it came by HTTP/2, where frames, not fields, tell whether a body follows.
    mutating func reframe(endsWithHead: Bool) {
        // An answer that can have no body may still end in a frame of its own.
        guard head.framing != .none else { return }
        head.lacksBody = endsWithHead
        guard !endsWithHead else { return head.framing = .none }
        head.framing = head.fields.contentLength.map(BodyFraming.length) ?? .chunked
    }

    private mutating func settle(_ method: Method) -> HTTPError.Kind? {
        let fields = head.fields
        if fields.isChunked {
            if fields.contentLength != nil { return .lengthAndTransferEncoding }
            if head.minorVersion == 0 { return .badTransferEncoding }
        }
        let hasNoBody =
            method == .head || head.status < 200 || head.status == 204 || head.status == 304
            || method == .connect && head.status < 300
        if hasNoBody {
            head.framing = .none
        } else if fields.isChunked {
            head.framing = .chunked
        } else if let length = fields.contentLength {
            head.framing = .length(length)
        } else {
            head.framing = .untilClose
        }
        head.keepsAlive =
            !fields.closes && (head.minorVersion == 1 || fields.keepsAlive) && head.framing != .untilClose
        return nil
    }
}
