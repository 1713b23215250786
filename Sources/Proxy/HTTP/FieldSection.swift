/// One field line, by ranges into the buffer it was parsed from.
struct FieldLine: Equatable {
    var name: ByteRange
    /// Without the white space around it.
    var value: ByteRange
    /// From the name to the line's end, CRLF included.
    var line: ByteRange
    var known: KnownField
    /// Belongs to this connection only: by its name, or because `Connection` names it.
    var isHopByHop: Bool
}

/// The fields of a head or a trailer section, and what they say of framing and connection (RFC 9112 sections 5 to 9).
///
/// Used again for message after message, so the array keeps its storage.
struct FieldSection {
    private(set) var lines: [FieldLine] = []
    private(set) var host: ByteRange?
    private(set) var contentLength: UInt64?
    private(set) var isChunked = false
    private(set) var closes = false
    private(set) var keepsAlive = false
    private(set) var upgrades = false
    private(set) var expectsContinue = false
    /// The first one that says something.
    private(set) var requestID: ByteRange?
    /// `application/grpc`, `application/grpc+proto`, …
    private(set) var isGRPC = false
    /// `TE: trailers`
    private(set) var acceptsTrailers = false
    private(set) var upgrade: ByteRange?
    private var offersHTTP2 = false
    private var hasConnectionNames = false

    enum Outcome: Equatable {
        /// The section ends before this offset.
        case complete(Int)
        case needsMore
        case failed(HTTPError.Kind)
    }

    /// HTTP/2 is not begun this way any more (RFC 9113 section 3.1), and an application that takes up `h2c`, wherever it
    /// stands in the list, would serve requests that the proxy has not seen: such a request asks for no upgrade.
    var hasUpgrade: Bool { upgrades && upgrade != nil && !offersHTTP2 }

    mutating func reset() {
        lines.removeAll(keepingCapacity: true)
        host = nil
        contentLength = nil
        isChunked = false
        closes = false
        keepsAlive = false
        upgrades = false
        expectsContinue = false
        requestID = nil
        isGRPC = false
        acceptsTrailers = false
        upgrade = nil
        offersHTTP2 = false
        hasConnectionNames = false
    }

    /// Reads field lines from `start` to the empty line.
    mutating func parse(_ bytes: Span<UInt8>, from start: Int, maxFields: Int) -> Outcome {
        reset()
        var offset = start
        let end = bytes.count
        while true {
            guard offset < end else { return .needsMore }
            let first = bytes[offset]
            if first == 13 {
                guard offset + 1 < end else { return .needsMore }
                guard bytes[offset + 1] == 10 else { return .failed(.bareCarriageReturn) }
                if let problem = markNamedFields(bytes) { return .failed(problem) }
                return .complete(offset + 2)
            }
            if first == 10 { return .failed(.bareLineFeed) }
            if ByteClass.isBlank(first) { return .failed(.obsoleteFolding) }
            guard lines.count < maxFields else { return .failed(.tooManyFields) }

            let name = offset
            offset = bytes.endOfToken(from: offset)
            guard offset < end else { return .needsMore }
            guard bytes[offset] == 0x3a, offset > name else { return .failed(.badFieldName) }
            let nameEnd = offset
            offset += 1
            while offset < end, ByteClass.isBlank(bytes[offset]) { offset += 1 }
            let value = offset
            offset = bytes.endOfFieldValue(from: offset)
            guard offset < end else { return .needsMore }
            guard bytes[offset] == 13 else { return .failed(bytes[offset] == 10 ? .bareLineFeed : .badFieldValue) }
            guard offset + 1 < end else { return .needsMore }
            guard bytes[offset + 1] == 10 else { return .failed(.bareCarriageReturn) }
            var valueEnd = offset
            while valueEnd > value, ByteClass.isBlank(bytes[valueEnd - 1]) { valueEnd -= 1 }
            offset += 2

            if let problem = add(bytes, name..<nameEnd, value..<valueEnd, lineEnd: offset) { return .failed(problem) }
        }
    }

    private mutating func add(
        _ bytes: Span<UInt8>, _ name: Range<Int>, _ value: Range<Int>, lineEnd: Int
    ) -> HTTPError.Kind? {
        let known = KnownField(bytes.extracting(name))
        lines.append(
            FieldLine(
                name: ByteRange(name), value: ByteRange(value), line: ByteRange(name.lowerBound..<lineEnd),
                known: known, isHopByHop: known.isHopByHop))
        let content = bytes.extracting(value)
        switch known {
        case .host:
            if host != nil { return .duplicateHost }
            host = ByteRange(value)
        case .contentLength:
            if contentLength != nil { return .duplicateContentLength }
            guard let length = FieldSection.decimal(content) else { return .badContentLength }
            contentLength = length
        case .transferEncoding:
            if isChunked || !content.equalsIgnoringCase("chunked") { return .badTransferEncoding }
            isChunked = true
        case .connection: return readConnection(content)
        case .upgrade:
            if !content.isEmpty { upgrade = ByteRange(value) }
            FieldSection.forEachElement(content) { if $0.startsIgnoringCase(with: "h2c") { offersHTTP2 = true } }
        case .expect: expectsContinue = content.equalsIgnoringCase("100-continue")
        case .requestID: if requestID == nil, !content.isEmpty { requestID = ByteRange(value) }
        case .contentType: isGRPC = FieldSection.isGRPC(content)
        case .te:
            FieldSection.forEachElement(content) { if $0.equalsIgnoringCase("trailers") { acceptsTrailers = true } }
        case .other, .keepAlive, .proxyConnection, .proxyAuthenticate, .proxyAuthorization, .forwarded,
            .clientIdentity:
            break
        }
        return nil
    }

    private mutating func readConnection(_ value: Span<UInt8>) -> HTTPError.Kind? {
        var names = 0
        FieldSection.forEachElement(value) { element in
            if element.equalsIgnoringCase("close") {
                closes = true
            } else if element.equalsIgnoringCase("keep-alive") {
                keepsAlive = true
            } else if element.equalsIgnoringCase("upgrade") {
                upgrades = true
            } else {
                names += 1
            }
        }
        if names > 0 { hasConnectionNames = true }
        return names > HTTPLimits.maxConnectionNames ? .badConnection : nil
    }

    /// Marks the fields that `Connection` names.
    private mutating func markNamedFields(_ bytes: Span<UInt8>) -> HTTPError.Kind? {
        guard hasConnectionNames else { return nil }
        var names = 0
        for index in lines.indices where lines[index].known == .connection {
            FieldSection.forEachElement(bytes.extracting(lines[index].value.range)) { element in
                names += 1
                guard names <= HTTPLimits.maxConnectionNames else { return }
                for other in lines.indices
                where bytes.extracting(lines[other].name.range).equalsIgnoringCase(element) {
                    lines[other].isHopByHop = true
                }
            }
        }
        return names > HTTPLimits.maxConnectionNames ? .badConnection : nil
    }

    /// Elements of a comma-separated list (RFC 9110 section 5.6.1); empty ones are left out.
    private static func forEachElement(_ list: Span<UInt8>, _ body: (Span<UInt8>) -> Void) {
        var start = 0
        while start < list.count {
            var end = start
            while end < list.count, list[end] != 0x2c { end += 1 }
            var first = start
            var last = end
            while first < last, ByteClass.isBlank(list[first]) { first += 1 }
            while last > first, ByteClass.isBlank(list[last - 1]) { last -= 1 }
            if first < last { body(list.extracting(first..<last)) }
            start = end + 1
        }
    }

    private static func isGRPC(_ type: Span<UInt8>) -> Bool {
        guard type.startsIgnoringCase(with: "application/grpc") else { return false }
        return type.count == 16 || type[16] == UInt8(ascii: "+") || type[16] == UInt8(ascii: ";")
    }

    /// Digits only, at most 18 of them: no sign, no list, no overflow.
    private static func decimal(_ text: Span<UInt8>) -> UInt64? {
        guard (1...18).contains(text.count) else { return nil }
        var value: UInt64 = 0
        for index in 0..<text.count {
            let digit = text[index] &- 0x30
            guard digit < 10 else { return nil }
            value = value * 10 + UInt64(digit)
        }
        return value
    }
}
