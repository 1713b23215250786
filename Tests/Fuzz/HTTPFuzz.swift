/// What must hold for every input: nothing traps, a cut changes nothing, and what is written reads as the same message,
/// alone.
///
/// The first byte says what the rest is and how it is rewritten, the second where it is cut.
@c(LLVMFuzzerTestOneInput)
public func testOneInput(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    let bytes = unsafe Array(UnsafeBufferPointer(start: start, count: count))
    guard bytes.count >= 2 else { return 0 }
    let input = Array(bytes.dropFirst(2))
    let split = Int(bytes[1]) * input.count / 255
    switch bytes[0] % 3 {
    case 0: fuzzRequest(input, split, Choices(bits: bytes[0] / 3))
    case 1: fuzzResponse(input, split, Choices(bits: bytes[0] / 3))
    case _: fuzzBody(input, split)
    }
    return 0
}

/// Yes-or-no questions, a bit each.
private struct Choices {
    let bits: UInt8
    func callAsFunction(_ index: Int) -> Bool { bits >> UInt8(index) & 1 == 1 }
}

private let small = HTTPLimits(maxHeadBytes: 4_096)
private let large = HTTPLimits(maxHeadBytes: 65_536)

// MARK: requests

private func fuzzRequest(_ input: [UInt8], _ split: Int, _ choices: Choices) {
    var parser = RequestParser(limits: small)
    let outcome = parser.parse(input.span, resumingAt: 0)
    let head = parser.head

    var other = RequestParser(limits: small)
    let first = other.parse(input.span.extracting(0..<split), resumingAt: 0)
    if first == .needsMore, split > 0 {
        let second = other.parse(input.span, resumingAt: split)
        hold(isSame(second, outcome, newBytes: input[split...]), "a cut changed the verdict")
        if outcome == .complete {
            hold(other.head.byteCount == head.byteCount && other.head.framing == head.framing, "a cut changed the head")
        }
    } else if case .failed = first {
        hold(outcome != .complete, "the beginning is refused and the whole is not")
    }
    checkLine(input, outcome)
    guard outcome == .complete, head.method != .connect else { return }

    var rewrite = RequestRewrite()
    rewrite.preserveHost = choices(0)
    rewrite.host = Array("upstream:80".utf8)
    if choices(1) { rewrite.pathPrefix = Array("/base".utf8) }
    rewrite.stripsIdentity = choices(2)
    rewrite.stripsForwarding = choices(2)
    rewrite.forwardedHost = choices(3)
    rewrite.forwarded = Array("X-Forwarded-For: 1.2.3.4\r\n".utf8)
    rewrite.identity = choices(4) ? Array("X-Client-CN: peer\r\n".utf8) : []
    let writer = ByteWriter()
    rewrite.write(head, from: input.span, requestID: head.needsRequestID ? Array("id".utf8) : [], into: writer)
    let body = relay(input, from: head.byteCount, head.framing, inChunks: head.framing == .chunked, writer)
    check(writer.bytes, head, input, rewrite, body)
}

/// What is told of a refused head lies in its own bytes, whatever the parser has read before.
private func checkLine(_ input: [UInt8], _ outcome: ParseOutcome) {
    let before = Array("DELETE http://another.test/\(String(repeating: "a", count: 1_000)) HTTP/1.1\r\nHost: ".utf8)
    var parser = RequestParser(limits: small)
    _ = parser.parse((before + Array("another.test\r\n\r\n".utf8)).span, resumingAt: 0)
    guard let line = parser.line(of: input.span) else {
        return hold(outcome != .complete, "a whole head without a request line")
    }
    for range in [line.methodRange, line.pathAndQuery, line.authority] {
        hold(range.range.upperBound <= input.count, "a request line beyond its head")
    }
    hold(!line.methodRange.isEmpty, "a request line without a method")
}

/// The bytes sent on hold this request and nothing after it.
private func check(
    _ written: [UInt8], _ head: RequestHead, _ input: [UInt8], _ rewrite: borrowing RequestRewrite, _ body: Body
) {
    var parser = RequestParser(limits: large)
    hold(parser.parse(written.span, resumingAt: 0) == .complete, "what was written cannot be read")
    let other = parser.head
    hold(other.framing == head.framing, "the framing changed")
    hold(input[head.methodRange.range] == written[other.methodRange.range], "the method changed")
    let path = Array(input[head.pathAndQuery.range])
    let target = head.isAboutServer ? [0x2a] : rewrite.pathPrefix + (path.first == 0x2f ? [] : [0x2f]) + path
    hold(target == Array(written[other.target.range]), "the target changed")
    let host = rewrite.preserveHost && !head.authority.isEmpty ? Array(input[head.authority.range]) : rewrite.host
    hold(host == Array(written[other.authority.range]), "the authority changed")
    hold(other.hasUpgrade == head.hasUpgrade, "an upgrade came or went")

    let added = rewrite.identity.isEmpty ? 0 : 1
    let identity = other.fields.lines.filter { $0.known == .clientIdentity }.count
    let forwarded = other.fields.lines.filter { $0.known == .forwarded }.count
    if rewrite.stripsIdentity { hold(identity == added, "a forged identity crossed") }
    if rewrite.stripsForwarding {
        hold(forwarded == (rewrite.forwardedHost && !head.authority.isEmpty ? 2 : 1), "a forged origin crossed")
    }
    for line in other.fields.lines where line.isHopByHop {
        let mayBe = line.known == .transferEncoding || head.hasUpgrade && [.connection, .upgrade].contains(line.known)
        hold(mayBe, "a field of the connection crossed")
    }
    hold(endToEnd(head.fields, input) == endToEnd(other.fields, written), "fields were lost")
    checkBody(written, from: other.byteCount, other.framing, body)
}

/// Fields that the proxy has no business with.
private func endToEnd(_ section: FieldSection, _ bytes: [UInt8]) -> [[UInt8]] {
    section.lines.filter { $0.known == .other && !$0.isHopByHop }.map { Array(bytes[$0.line.range]) }
}

// MARK: answers

private func fuzzResponse(_ input: [UInt8], _ split: Int, _ choices: Choices) {
    let method: Method = choices(0) ? .head : choices(1) ? .connect : .get
    var parser = ResponseParser(limits: small)
    let outcome = parser.parse(input.span, resumingAt: 0, for: method)
    let head = parser.head

    var other = ResponseParser(limits: small)
    let first = other.parse(input.span.extracting(0..<split), resumingAt: 0, for: method)
    if first == .needsMore, split > 0 {
        let second = other.parse(input.span, resumingAt: split, for: method)
        hold(isSame(second, outcome, newBytes: input[split...]), "a cut changed the verdict")
        if outcome == .complete { hold(other.head.framing == head.framing, "a cut changed the head") }
    } else if case .failed = first {
        hold(outcome != .complete, "the beginning is refused and the whole is not")
    }
    guard outcome == .complete else { return }

    let rewrite =
        head.status == 101
        ? ResponseRewrite.switching
        : head.status < 200
            ? .interim : ResponseRewrite(for: head, minorVersion: choices(2) ? 0 : 1, closes: choices(3))
    let writer = ByteWriter()
    rewrite.write(head, from: input.span, into: writer)
    let body = relay(input, from: head.byteCount, head.framing, inChunks: rewrite.chunksBody, writer)
    let written = writer.bytes
    var reader = ResponseParser(limits: large)
    hold(reader.parse(written.span, resumingAt: 0, for: method) == .complete, "what was written cannot be read")
    hold(reader.head.status == head.status, "the status changed")
    hold((reader.head.framing == .chunked) == rewrite.chunksBody, "chunks are not announced")
    hold(reader.head.announcedLength == (rewrite.chunksBody ? nil : head.announcedLength), "the length changed")
    if rewrite.closesDownstream { hold(!reader.head.keepsAlive, "the end of the connection is not announced") }
    hold(endToEnd(head.fields, input) == endToEnd(reader.head.fields, written), "fields were lost")
    for line in reader.head.fields.lines where line.isHopByHop {
        let isOurs = line.known == .transferEncoding || line.known == .connection
        let mayBe = isOurs || line.known == .upgrade && head.status == 101
        hold(mayBe, "a field of the connection crossed")
    }
    checkBody(written, from: reader.head.byteCount, reader.head.framing, body)
}

// MARK: bodies

private func fuzzBody(_ input: [UInt8], _ split: Int) {
    let whole = decode(input, .chunked, splitAt: 0)
    let parts = decode(input, .chunked, splitAt: split)
    hold(whole == parts, "a cut changed the body")
    let writer = ByteWriter()
    let body = relay(input, from: 0, .chunked, inChunks: true, writer)
    hold(body == whole, "a body that goes on is another")
    checkBody(writer.bytes, from: 0, .chunked, body)
}

private struct Body: Equatable {
    enum End { case whole, missing, failed }
    var payload: [UInt8] = []
    var trailers: [[UInt8]] = []
    var end = End.missing
}

/// Reads a body and writes it on as the proxy does.
private func relay(
    _ input: [UInt8], from start: Int, _ framing: BodyFraming, inChunks: Bool, _ writer: ByteWriter
) -> Body {
    var decoder = BodyDecoder(framing)
    var body = Body()
    var offset = start
    while true {
        switch decoder.next(input.span, from: offset) {
        case .data(let range):
            body.payload += input[range]
            let piece = input.span.extracting(range)
            if inChunks { writer.appendChunk(piece) } else { writer.append(piece) }
            offset = range.upperBound
        case .needsMore:
            guard decoder.endsAtClose else { return body }
            if inChunks { writer.appendLastChunk([], from: input.span) }
            body.end = .whole
            return body
        case .end:
            body.trailers = lines(decoder.trailers, input)
            if inChunks { writer.appendLastChunk(decoder.trailers, from: input.span) }
            body.end = .whole
            return body
        case .failed:
            body.end = .failed
            return body
        }
    }
}

/// What was written after a head is this body, and the last byte of it is the last.
private func checkBody(_ written: [UInt8], from start: Int, _ framing: BodyFraming, _ body: Body) {
    var decoder = BodyDecoder(framing)
    var again = Body()
    var offset = start
    reading: while true {
        switch decoder.next(written.span, from: offset) {
        case .data(let range):
            again.payload += written[range]
            offset = range.upperBound
        case .needsMore(let consumed):
            again.end = decoder.endsAtClose ? .whole : .missing
            offset = consumed
            break reading
        case .end(let consumed):
            again.trailers = lines(decoder.trailers, written)
            again.end = .whole
            offset = consumed
            break reading
        case .failed: fatalError("what was written is malformed")
        }
    }
    hold(again.payload == body.payload, "the body changed")
    guard body.end == .whole else {
        // Where a body ends with its connection, the reset that the connection then ends with tells.
        return hold(again.end == .missing || framing == .untilClose, "half a body became whole")
    }
    hold(again.end == .whole && offset == written.count, "something follows what was written")
    if framing == .chunked { hold(again.trailers == body.trailers, "the trailers changed") }
}

private func lines(_ lines: [FieldLine], _ bytes: [UInt8]) -> [[UInt8]] {
    for line in lines { hold(line.known == .other && !line.isHopByHop, "a forbidden trailer") }
    return lines.map { Array(bytes[$0.line.range]) }
}

/// Shows a body in two pieces, as a connection would: what was not consumed is shown again.
private func decode(_ input: [UInt8], _ framing: BodyFraming, splitAt split: Int) -> Body {
    var decoder = BodyDecoder(framing)
    var body = Body()
    var shown = Array(input[0..<split])
    var later: [UInt8]? = Array(input[split...])
    var offset = 0
    while true {
        switch decoder.next(shown.span, from: offset) {
        case .data(let range):
            body.payload += shown[range]
            offset = range.upperBound
        case .needsMore(let consumed):
            guard let rest = later else { return body }
            shown = Array(shown[consumed...]) + rest
            later = nil
            offset = 0
        case .end:
            body.trailers = lines(decoder.trailers, shown)
            body.end = .whole
            return body
        case .failed:
            body.end = .failed
            return body
        }
    }
}

/// Where a head is malformed in two ways, a cut decides which is seen; and nothing is looked at again before a line ends.
private func isSame(_ one: ParseOutcome, _ other: ParseOutcome, newBytes: ArraySlice<UInt8>) -> Bool {
    switch (one, other) {
    case (.complete, .complete), (.needsMore, .needsMore), (.failed, .failed): true
    case (.needsMore, .failed): !newBytes.contains(10)
    case (.complete, _), (.needsMore, _), (.failed, _): false
    }
}
