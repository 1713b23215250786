/// A request's head, by ranges into the buffer it was parsed from.
struct RequestHead {
    enum TargetForm { case origin, absolute, authority, asterisk }

    fileprivate(set) var method = Method.get
    fileprivate(set) var methodRange = ByteRange.empty
    fileprivate(set) var target = ByteRange.empty
    fileprivate(set) var targetForm = TargetForm.origin
    /// Host and port as the client named them; empty when an HTTP/1.0 client did not.
    fileprivate(set) var authority = ByteRange.empty
    /// Empty in absolute-form without path, and in authority-form.
    fileprivate(set) var pathAndQuery = ByteRange.empty
    fileprivate(set) var minorVersion: UInt8 = 1
    /// Came by HTTP/2 and was put into HTTP/1.1's form.
    fileprivate(set) var isHTTP2 = false
    fileprivate(set) var fields = FieldSection()
    fileprivate(set) var framing = BodyFraming.none
    fileprivate(set) var keepsAlive = true
    /// Length of the head with its empty line, in bytes.
    fileprivate(set) var byteCount = 0

    /// The client brought no `X-Request-Id` worth keeping.
    var needsRequestID: Bool { fields.requestID == nil }

    /// OPTIONS about the server itself (RFC 9112 section 3.2.4).
    var isAboutServer: Bool { targetForm == .asterisk || method == .options && pathAndQuery.isEmpty }

    /// The client asks for another protocol (RFC 9110 section 7.8). A request with a body does not: where the body
    /// ends and the other protocol begins is too easily misread.
    var hasUpgrade: Bool { fields.hasUpgrade && minorVersion == 1 && (framing == .none || framing == .length(0)) }
}

/// Reads request heads strictly (RFC 9112 sections 2, 3, 6). Shared by all connections of a worker: what it found
/// is valid until the next call.
struct RequestParser {
    private(set) var head = RequestHead()
    private let limits: HTTPLimits

    init(limits: HTTPLimits = HTTPLimits()) { self.limits = limits }

    /// - Parameter scanned: how many of the bytes an earlier call has seen. Only when a line has ended in the new ones is
    ///   the head read again, so a head that comes byte by byte costs its lines, not its bytes, times its length.
    mutating func parse(_ bytes: Span<UInt8>, resumingAt scanned: Int) -> ParseOutcome {
        if scanned > 0, !HeadBounds.hasLineEnd(bytes, from: scanned) { return bounded(bytes, .needsMore) }
        let outcome = read(bytes)
        return bounded(bytes, outcome)
    }

    /// Says of the head just read that it came by HTTP/2, where frames, not fields, tell whether a body follows.
    mutating func reframe(endsWithHead: Bool) {
        head.isHTTP2 = true
        // The bytes of a tunnel are no body.
        guard !endsWithHead, !head.fields.hasUpgrade else { return head.framing = .none }
        head.framing = head.fields.contentLength.map(BodyFraming.length) ?? .chunked
    }

    /// The request line of a head that was refused, for the log and the counts.
    struct Line {
        let method: Method
        let methodRange: ByteRange
        /// Empty when the target is malformed.
        fileprivate(set) var authority = ByteRange.empty
        fileprivate(set) var pathAndQuery = ByteRange.empty
        let minorVersion: UInt8
    }

    /// What of a head that was refused, or of which no more comes, is known all the same; nil when its request line is not
    /// whole or malformed. Of a target that is too long its beginning is known.
    mutating func line(of bytes: Span<UInt8>) -> Line? {
        // What another head has left lies in other bytes.
        head = RequestHead()
        let start = bytes.count > 1 && bytes[0] == 13 && bytes[1] == 10 ? 2 : 0
        switch readRequestLine(bytes, start) {
        case .complete, .failed(.targetTooLong): break
        case .needsMore: guard bytes.count >= limits.maxHeadBytes, !head.target.isEmpty else { return nil }
        case .failed: return nil
        }
        var line = Line(method: head.method, methodRange: head.methodRange, minorVersion: head.minorVersion)
        if settleTarget(bytes) == nil { (line.authority, line.pathAndQuery) = (head.authority, head.pathAndQuery) }
        return line
    }

    private func bounded(_ bytes: Span<UInt8>, _ outcome: ParseOutcome) -> ParseOutcome {
        guard HeadBounds.areExceeded(outcome, seen: bytes.count, head: head.byteCount, limits) else { return outcome }
        let isInRequestLine = outcome == .needsMore && !HeadBounds.hasLineEnd(bytes, from: 2)
        return .failed(HTTPError(isInRequestLine ? .targetTooLong : .headTooLarge))
    }

    private mutating func read(_ bytes: Span<UInt8>) -> ParseOutcome {
        var offset = 0
        head.isHTTP2 = false
        // One empty line before a request is forgiven (RFC 9112 section 2.2).
        if !bytes.isEmpty, bytes[0] == 13 {
            guard bytes.count > 1 else { return .needsMore }
            guard bytes[1] == 10 else { return .failed(HTTPError(.bareCarriageReturn)) }
            offset = 2
        }
        switch readRequestLine(bytes, offset) {
        case .needsMore: return .needsMore
        case .failed(let kind): return .failed(HTTPError(kind))
        case .complete(let end): offset = end
        }
        switch head.fields.parse(bytes, from: offset, maxFields: limits.maxFields) {
        case .needsMore: return .needsMore
        case .failed(let kind): return .failed(HTTPError(kind))
        case .complete(let end): head.byteCount = end
        }
        if let problem = settle(bytes) { return .failed(HTTPError(problem)) }
        return .complete
    }

    private mutating func readRequestLine(_ bytes: Span<UInt8>, _ start: Int) -> FieldSection.Outcome {
        let end = bytes.count
        var offset = start
        offset = bytes.endOfToken(from: offset)
        guard offset - start <= HTTPLimits.maxMethodBytes else { return .failed(.badMethod) }
        guard offset < end else { return .needsMore }
        guard offset > start, bytes[offset] == 0x20 else { return .failed(.badMethod) }
        head.methodRange = ByteRange(start..<offset)
        head.method = Method(bytes.extracting(start..<offset))
        offset += 1

        let target = offset
        offset = bytes.endOfTarget(from: offset)
        head.target = ByteRange(target..<offset)
        guard offset - target <= limits.maxTargetBytes else { return .failed(.targetTooLong) }
        guard offset < end else { return .needsMore }
        guard bytes[offset] == 0x20, offset > target else { return .failed(.badTarget) }
        offset += 1

        let version: StaticString = "HTTP/1."
        let versionBytes = version.utf8CodeUnitCount
        let available = min(end - offset, versionBytes)
        for index in 0..<available where unsafe bytes[offset + index] != version.utf8Start[index] {
            let isVersion = index >= 5 && bytes[offset + index] &- 0x30 < 10
            return .failed(isVersion ? .badVersion : .badRequestLine)
        }
        guard end - offset >= versionBytes + 3 else { return .needsMore }
        offset += versionBytes
        let minor = bytes[offset] &- 0x30
        guard minor < 10 else { return .failed(.badRequestLine) }
        guard minor < 2 else { return .failed(.badVersion) }
        head.minorVersion = minor
        guard bytes[offset + 1] == 13 else {
            return .failed(bytes[offset + 1] == 10 ? .bareLineFeed : .badRequestLine)
        }
        guard bytes[offset + 2] == 10 else { return .failed(.bareCarriageReturn) }
        return .complete(offset + 3)
    }

    /// What the head means as a whole: target and authority, framing, persistence.
    private mutating func settle(_ bytes: Span<UInt8>) -> HTTPError.Kind? {
        if let problem = settleTarget(bytes) { return problem }
        let fields = head.fields
        let host = fields.host
        if host == nil, head.minorVersion == 1 { return .missingHost }
        if let host {
            guard RequestParser.isAuthority(bytes.extracting(host.range), mayBeEmpty: true) else { return .badHost }
            switch head.targetForm {
            case .origin, .asterisk: head.authority = host
            case .absolute, .authority:
                // A request that names two hosts is read differently by different servers.
                guard namesTarget(bytes.extracting(host.range), bytes.extracting(head.authority.range))
                else { return .badHost }
            }
        } else if head.targetForm == .origin || head.targetForm == .asterisk {
            head.authority = .empty
        }
        if fields.isChunked {
            if fields.contentLength != nil { return .lengthAndTransferEncoding }
            if head.minorVersion == 0 { return .badTransferEncoding }
            head.framing = .chunked
        } else if let length = fields.contentLength {
            head.framing = .length(length)
        } else {
            head.framing = .none
        }
        head.keepsAlive = !fields.closes && (head.minorVersion == 1 || fields.keepsAlive)
        return nil
    }

    /// Some clients leave the port out of the Host of a CONNECT, where nobody needs it.
    private func namesTarget(_ host: Span<UInt8>, _ authority: Span<UInt8>) -> Bool {
        if host.equalsIgnoringCase(authority) { return true }
        guard head.targetForm == .authority, host.count < authority.count, authority[host.count] == 0x3a else {
            return false
        }
        return host.equalsIgnoringCase(authority.extracting(0..<host.count))
    }

    private mutating func settleTarget(_ bytes: Span<UInt8>) -> HTTPError.Kind? {
        let range = head.target.range
        let target = bytes.extracting(range)
        if head.method == .connect {
            head.targetForm = .authority
            head.authority = head.target
            head.pathAndQuery = .empty
            return RequestParser.isAuthority(target, mayBeEmpty: false) ? nil : .badTarget
        }
        if target[0] == 0x2f {
            head.targetForm = .origin
            head.pathAndQuery = head.target
            return nil
        }
        if target.equals("*") {
            head.targetForm = .asterisk
            head.pathAndQuery = head.target
            return head.method == .options ? nil : .badTarget
        }
        let scheme =
            target.startsIgnoringCase(with: "http://") ? 7 : target.startsIgnoringCase(with: "https://") ? 8 : 0
        guard scheme > 0 else { return .badTarget }
        var end = scheme
        while end < target.count, target[end] != 0x2f, target[end] != 0x3f { end += 1 }
        head.targetForm = .absolute
        head.authority = ByteRange(range.lowerBound + scheme..<range.lowerBound + end)
        head.pathAndQuery = ByteRange(range.lowerBound + end..<range.upperBound)
        return RequestParser.isAuthority(target.extracting(scheme..<end), mayBeEmpty: false) ? nil : .badTarget
    }

    /// Host and optional port: `name`, `1.2.3.4:80`, `[::1]:80`.
    private static func isAuthority(_ text: Span<UInt8>, mayBeEmpty: Bool) -> Bool {
        guard !text.isEmpty else { return mayBeEmpty }
        var hostEnd = 0
        if text[0] == 0x5b {
            hostEnd = 1
            while hostEnd < text.count, ByteClass.isHost(text[hostEnd]) || text[hostEnd] == 0x3a { hostEnd += 1 }
            guard hostEnd > 1, hostEnd < text.count, text[hostEnd] == 0x5d else { return false }
            hostEnd += 1
        } else {
            hostEnd = text.endOfHost(from: 0)
            guard hostEnd > 0 else { return false }
        }
        guard hostEnd < text.count else { return true }
        guard text[hostEnd] == 0x3a, text.count - hostEnd <= 6 else { return false }
        for index in hostEnd + 1..<text.count where text[index] &- 0x30 >= 10 { return false }
        return true
    }
}

/// What both parsers ask of a head that may not be whole yet.
enum HeadBounds {
    /// Whether a head is larger than it may be, or what there is of it as large without an end.
    static func areExceeded(_ outcome: ParseOutcome, seen: Int, head: Int, _ limits: HTTPLimits) -> Bool {
        switch outcome {
        case .needsMore: seen >= limits.maxHeadBytes
        case .complete: head > limits.maxHeadBytes
        case .failed: false
        }
    }

    /// Whether a line ends in the part that is new.
    static func hasLineEnd(_ bytes: Span<UInt8>, from start: Int) -> Bool {
        var index = start
        while index < bytes.count {
            if bytes[index] == 10 { return true }
            index += 1
        }
        return false
    }
}
