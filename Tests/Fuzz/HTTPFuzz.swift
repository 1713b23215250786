/// What must hold for every input: nothing traps, a split changes nothing, what is written reads as the same message.
@c(LLVMFuzzerTestOneInput)
public func testOneInput(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    let bytes = unsafe Array(UnsafeBufferPointer(start: start, count: count))
    guard let selector = bytes.first else { return 0 }
    let input = Array(bytes.dropFirst())
    switch selector % 3 {
    case 0: fuzzRequest(input, splitAt: Int(selector) % (input.count + 1))
    case 1: fuzzResponse(input, splitAt: Int(selector) % (input.count + 1))
    case _: fuzzBody(input, splitAt: Int(selector) % (input.count + 1))
    }
    return 0
}

private func fuzzRequest(_ input: [UInt8], splitAt split: Int) {
    var parser = RequestParser(limits: HTTPLimits(maxHeadBytes: 4_096))
    let outcome = parser.parse(input.span, resumingAt: 0)
    let head = parser.head

    var other = RequestParser(limits: HTTPLimits(maxHeadBytes: 4_096))
    let first = other.parse(input.span.extracting(0..<split), resumingAt: 0)
    if first == .needsMore, split > 0, outcome == .complete {
        precondition(other.parse(input.span, resumingAt: split) == .complete, "a split changed the verdict")
        precondition(other.head.byteCount == head.byteCount && other.head.framing == head.framing)
    }
    guard outcome == .complete, head.method != .connect else { return }

    var rewrite = RequestRewrite()
    rewrite.host = Array("upstream".utf8)
    rewrite.stripsIdentity = true
    rewrite.stripsForwarding = true
    var ids = RequestIDs(seed: 7)
    var writer = ByteWriter()
    var id: [UInt8] = []
    if head.needsRequestID { ids.append(to: &id) }
    rewrite.write(head, from: input.span, requestID: id, into: &writer)
    let written = writer.bytes
    var reader = RequestParser(limits: HTTPLimits(maxHeadBytes: 65_536))
    precondition(reader.parse(written.span, resumingAt: 0) == .complete, "what was written cannot be read")
    precondition(reader.head.byteCount == written.count, "what was written holds more than one head")
    precondition(reader.head.framing == head.framing, "the framing changed")
    precondition(reader.head.method == head.method)
    for line in reader.head.fields.lines {
        precondition(line.known != .clientIdentity && line.known != .forwarded, "a forged field crossed")
        precondition(!line.known.isHopByHop || line.known == .transferEncoding, "a field of the connection crossed")
    }
}

private func fuzzResponse(_ input: [UInt8], splitAt split: Int) {
    var parser = ResponseParser(limits: HTTPLimits(maxHeadBytes: 4_096))
    let outcome = parser.parse(input.span, resumingAt: 0, for: .get)
    let head = parser.head

    var other = ResponseParser(limits: HTTPLimits(maxHeadBytes: 4_096))
    let first = other.parse(input.span.extracting(0..<split), resumingAt: 0, for: .get)
    if first == .needsMore, split > 0, outcome == .complete {
        precondition(other.parse(input.span, resumingAt: split, for: .get) == .complete, "a split changed the verdict")
        precondition(other.head.framing == head.framing)
    }
    guard outcome == .complete else { return }
    let rewrite = ResponseRewrite(for: head, minorVersion: 1, closes: false)
    var writer = ByteWriter()
    rewrite.write(head, from: input.span, into: &writer)
    let written = writer.bytes
    var reader = ResponseParser(limits: HTTPLimits(maxHeadBytes: 65_536))
    precondition(reader.parse(written.span, resumingAt: 0, for: .get) == .complete, "what was written cannot be read")
    precondition(reader.head.byteCount == written.count, "what was written holds more than one head")
    precondition((reader.head.framing == .chunked) == rewrite.chunksBody)
}

private func fuzzBody(_ input: [UInt8], splitAt split: Int) {
    let whole = decode(input, splitAt: 0)
    let parts = decode(input, splitAt: split)
    precondition(whole.verdict == parts.verdict && whole.payload == parts.payload, "a split changed the body")
    guard whole.verdict == .end else { return }
    var writer = ByteWriter()
    writer.appendChunk(whole.payload.span)
    writer.appendLastChunk([], from: input.span)
    let again = decode(writer.bytes, splitAt: 0)
    precondition(again.verdict == .end && again.payload == whole.payload, "what was written cannot be read")
}

private enum Verdict { case end, needsMore, failed }

private func decode(_ input: [UInt8], splitAt split: Int) -> (payload: [UInt8], verdict: Verdict) {
    var decoder = BodyDecoder(.chunked)
    var payload: [UInt8] = []
    var shown = Array(input[0..<split])
    var later: [UInt8]? = Array(input[split...])
    var offset = 0
    while true {
        switch decoder.next(shown.span, from: offset) {
        case .data(let range):
            payload += shown[range]
            offset = range.upperBound
        case .needsMore(let consumed):
            guard let rest = later else { return (payload, .needsMore) }
            shown = Array(shown[consumed...]) + rest
            later = nil
            offset = 0
        case .end: return (payload, .end)
        case .failed: return ([], .failed)
        }
    }
}
