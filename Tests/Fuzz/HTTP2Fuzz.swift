/// HTTP/2 sessions under any bytes, in any pieces, with any order of answers; and messages of HTTP/1.1 that cross an
/// HTTP/2 hop.
///
/// The first byte says which; then come a count of actions, the actions, and the bytes off the wire.
@c(LLVMFuzzerTestOneInput)
public func testOneInput(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    let bytes = unsafe Array(UnsafeBufferPointer(start: start, count: count))
    guard bytes.count >= 2, let library else { return 0 }
    let mode = bytes[0]
    let actions = Array(bytes[2..<min(bytes.count, 2 + Int(bytes[1]))])
    let wire = Array(bytes[(2 + actions.count)...])
    switch mode & 3 {
    case 0, 1: Peer(.server, library, mode).run(wire, actions)
    case 2: Peer(.client, library, mode).run(wire, actions)
    case _: Hop(library, mode).run(wire, answer: actions)
    }
    return 0
}

private nonisolated(unsafe) let library = HTTP2Library()

private let maxHeadBytes = [256, 4_096, 32_768]

private func block(_ fields: KeyValuePairs<StaticString, StaticString>) -> HeaderBlock {
    let block = HeaderBlock()
    for (name, value) in fields { block.append(name, value) }
    return block
}

/// A session and who would use it: holds the session's events to the order that its users count on.
private final class Peer {
    /// What has happened on a stream.
    private struct Stream {
        /// Its head was put into words.
        var hasHead = false
        /// Nothing more comes but its end.
        var isReceived = false
        var unread = 0
        var received: UInt64 = 0
        var expected: UInt64?
        var hasAnswered = false
        var isSent = false
    }

    private let role: HTTP2Session.Role
    private let session: HTTP2Session
    private let limit: Int
    /// Of a client's requests.
    private let method: Method
    private var streams: [HTTP2Slot: Stream] = [:]
    private var events = HTTP2Events()
    private var sent = Frames()
    private var isSound = true

    init(_ role: HTTP2Session.Role, _ library: HTTP2Library, _ mode: UInt8) {
        self.role = role
        limit = maxHeadBytes[Int(mode >> 2 & 15) % 3]
        method = mode & 64 != 0 ? .head : .post
        guard let session = HTTP2Session(role, library, maxHeadBytes: limit) else { fatalError("no memory") }
        self.session = session
        sent.hasPreface = role == .client
    }

    func run(_ wire: [UInt8], _ actions: [UInt8]) {
        if role == .client {
            request(endsStream: true)
            request(endsStream: false)
            flush(limit: 65_536)
        }
        var offset = 0
        for action in actions {
            let size = [0, 1, 9, 20, 64, 300, 2_000, wire.count][Int(action >> 5)]
            let end = min(wire.count, offset + size)
            if end > offset { receive(wire.span.extracting(offset..<end)) }
            offset = end
            act(action & 31)
        }
        if offset < wire.count { receive(wire.span.extracting(offset...)) }
        flush(limit: 1 << 20)
        // What is left is over with the connection, as its user sees it.
        for slot in streams.keys { session.free(slot) }
    }

    private func receive(_ bytes: Span<UInt8>) {
        if !session.receive(bytes) { hold(session.isEnded, "a session that refuses bytes goes on") }
        workOff(bytes)
    }

    private func flush(limit: Int) {
        guard isSound else { return }
        let writer = ByteWriter()
        isSound = session.output(into: writer, limit: limit)
        sent.add(writer.bytes)
        let none: [UInt8] = []
        workOff(none.span)
        var drained: [HTTP2Slot] = []
        session.takeDrained(into: &drained)
    }

    // MARK: events

    private func workOff(_ bytes: Span<UInt8>) {
        while session.hasEvents {
            session.takeEvents(into: &events)
            for event in events.list { happened(event, bytes, events.text) }
        }
        let unread = streams.values.reduce(0) { $0 + $1.unread }
        hold(unread <= Int(HTTP2Bounds.connectionWindow), "more came than the connection's window")
        hold(session.activeStreams >= streams.count, "streams were lost")
        if role == .server {
            hold(session.activeStreams <= Int(HTTP2Bounds.concurrentStreams), "too many streams")
        }
    }

    private func refuse(_ slot: HTTP2Slot) {
        open(slot)
        guard role == .server, streams[slot]?.hasAnswered == false else { return }
        session.answer(slot, block([":status": "431"]), endsStream: true)
        streams[slot]?.hasAnswered = true
        streams[slot]?.isSent = true
    }

    private func happened(_ event: HTTP2Event, _ bytes: Span<UInt8>, _ text: [UInt8]) {
        switch event {
        case .head(let slot, let range, let endsStream): headCame(slot, Array(text[range]), endsStream)
        case .headTooLarge(let slot, let range):
            hold(range.upperBound <= text.count, "a head beyond the text")
            refuse(slot)
        case .headMalformed(let slot): refuse(slot)
        case .trailers(let slot, let range):
            hold(streams[slot]?.isReceived == false, "trailers after the end")
            streams[slot]?.isReceived = true
            for trailer in Trailers.read(text[range].span) {
                hold(trailer.known == .other && !trailer.isHopByHop, "a forbidden trailer")
            }
        case .data(let slot, let range):
            hold(range.lowerBound >= 0 && range.upperBound <= bytes.count, "a body outside of what came")
            guard var stream = streams[slot] else { fatalError("a body without head") }
            hold(!stream.isReceived, "a body after its end")
            stream.unread += range.count
            stream.received += UInt64(range.count)
            hold(stream.unread <= Int(HTTP2Bounds.streamWindow), "more came than the stream's window")
            if let expected = stream.expected { hold(stream.received <= expected, "a body longer than it says") }
            streams[slot] = stream
        case .end(let slot):
            guard let stream = streams[slot] else { fatalError("an end without head") }
            hold(!stream.isReceived, "two ends")
            if let expected = stream.expected { hold(stream.received == expected, "a body shorter than it says") }
            streams[slot]?.isReceived = true
        case .closed(let slot, _):
            session.free(slot)
            hold(streams.removeValue(forKey: slot) != nil || role == .server, "a stream that nobody opened")
        case .goAway: break
        }
    }

    private func open(_ slot: HTTP2Slot) {
        switch role {
        case .server:
            hold(streams[slot] == nil, "a stream's place is given away twice")
            streams[slot] = Stream()
        case .client: hold(streams[slot] != nil, "an answer to no request")
        }
    }

    private func headCame(_ slot: HTTP2Slot, _ text: [UInt8], _ endsStream: Bool) {
        open(slot)
        hold(text.count <= limit, "a head larger than was said")
        var expected: UInt64?
        switch role {
        case .server:
            var parser = RequestParser(limits: HTTPLimits(maxHeadBytes: limit))
            let outcome = parser.parse(text.span, resumingAt: 0)
            hold(outcome != .needsMore, "half a head")
            guard outcome == .complete else { break }
            hold(parser.head.byteCount == text.count, "more than one head")
            guard parser.head.method != .connect else { break }
            if !parser.head.fields.upgrades { expected = parser.head.fields.contentLength }
            parser.reframe(endsWithHead: endsStream)
            checkRequest(parser.head, text)
        case .client:
            hold(streams[slot]?.hasHead == false, "two heads")
            var parser = ResponseParser()
            let outcome = parser.parse(text.span, resumingAt: 0, for: method)
            hold(outcome != .needsMore, "half a head")
            guard outcome == .complete else { break }
            hold(parser.head.byteCount == text.count, "more than one head")
            // An interim answer is not the last.
            guard parser.head.status >= 200 else { return }
            expected = parser.head.framing == .none ? 0 : parser.head.announcedLength
            parser.reframe(endsWithHead: endsStream)
            checkAnswer(parser.head, text)
        }
        streams[slot]?.hasHead = true
        streams[slot]?.expected = expected
        streams[slot]?.isReceived = endsStream
    }

    /// What goes on by HTTP/1.1 is this message alone, and its end is where it was.
    private func checkRequest(_ head: RequestHead, _ text: [UInt8]) {
        var rewrite = RequestRewrite()
        rewrite.stripsIdentity = true
        let writer = ByteWriter()
        rewrite.write(head, from: text.span, requestID: [], into: writer)
        var reader = RequestParser(limits: HTTPLimits(maxHeadBytes: 65_536))
        hold(reader.parse(writer.bytes.span, resumingAt: 0) == .complete, "what was written cannot be read")
        hold(reader.head.byteCount == writer.count, "what was written is more than one head")
        hold(reader.head.framing == head.framing, "the framing changed")
        hold(reader.head.hasUpgrade == head.hasUpgrade, "an upgrade came or went")
        for line in reader.head.fields.lines { hold(line.known != .clientIdentity, "a forged identity crossed") }
    }

    private func checkAnswer(_ head: ResponseHead, _ text: [UInt8]) {
        let rewrite = ResponseRewrite(for: head, minorVersion: 1, closes: false)
        let writer = ByteWriter()
        rewrite.write(head, from: text.span, into: writer)
        var reader = ResponseParser(limits: HTTPLimits(maxHeadBytes: 131_072))
        let outcome = reader.parse(writer.bytes.span, resumingAt: 0, for: method)
        hold(outcome == .complete, "what was written cannot be read")
        hold(reader.head.byteCount == writer.count, "what was written is more than one head")
        hold((reader.head.framing == .chunked) == rewrite.chunksBody, "chunks that nobody expects, or none")
        hold(reader.head.framing != .untilClose, "nobody sees where the answer ends")
    }

    // MARK: what its user does

    private func act(_ action: UInt8) {
        // The next stream that the action can be done to, the same each time.
        func first(_ fits: (Stream) -> Bool) -> HTTP2Slot? {
            streams.filter { fits($0.value) }.keys.min()
        }
        let size = [1, 100, 20_000, 200_000][Int(action >> 3)]
        switch action & 7 {
        case 0: consume()
        case 1: begin(first { !$0.hasAnswered && $0.hasHead }, endsStream: action & 8 != 0)
        case 2:
            guard let slot = first({ $0.hasAnswered && !$0.isSent }) else { break }
            session.send(slot, [UInt8](repeating: 0x61, count: size).span)
        case 3:
            guard let slot = first({ $0.hasAnswered && !$0.isSent }) else { break }
            if action & 8 != 0 { session.stopPeerAfterEnd(slot) }
            session.end(slot, trailers: action & 16 != 0 ? block(["grpc-status": "0"]) : nil)
            streams[slot]?.isSent = true
        case 4:
            guard let slot = first({ _ in true }) else { break }
            session.reset(slot, HTTP2ErrorCode.cancel)
        case 5:
            guard role == .server, let slot = first({ !$0.hasAnswered && $0.hasHead }) else { break }
            session.answerInterim(slot, block([":status": "103"]))
        case 6:
            switch action >> 3 {
            case 0: session.ping()
            case 1: session.announceEnd()
            case 2: session.refuseNewStreams()
            case _: session.terminate(HTTP2ErrorCode.none)
            }
        case _: flush(limit: size)
        }
        if action & 16 == 0 { flush(limit: 65_536) }
    }

    private func begin(_ slot: HTTP2Slot?, endsStream: Bool) {
        guard role == .server else { return request(endsStream: endsStream) }
        guard let slot else { return }
        session.answer(slot, block([":status": "200", "Content-Type": "text/plain"]), endsStream: endsStream)
        streams[slot]?.hasAnswered = true
        streams[slot]?.isSent = endsStream
    }

    private func request(endsStream: Bool) {
        guard session.takesRequests, session.activeStreams < session.peerConcurrentStreams else { return }
        let name: StaticString = method == .head ? "HEAD" : "POST"
        let head = block([":method": name, ":scheme": "https", ":authority": "a", ":path": "/", "X-A": "b"])
        guard let slot = session.request(head, endsStream: endsStream) else { return }
        hold(streams[slot] == nil, "a stream's place is given away twice")
        streams[slot] = Stream(hasAnswered: true, isSent: endsStream)
    }

    private func consume() {
        for slot in streams.keys {
            session.consumeAll(slot)
            streams[slot]?.unread = 0
        }
    }
}

/// Sees that what is sent is whole frames of sizes that every peer takes (RFC 9113 section 4.2).
private struct Frames {
    var hasPreface = false
    private var pending: [UInt8] = []

    mutating func add(_ bytes: [UInt8]) {
        pending += bytes
        var offset = 0
        if hasPreface, pending.count >= 24 {
            hasPreface = false
            offset = 24
        }
        while pending.count - offset >= 9 {
            let length = Int(pending[offset]) << 16 | Int(pending[offset + 1]) << 8 | Int(pending[offset + 2])
            hold(length <= 16_384, "a frame that is too large")
            hold(pending[offset + 3] <= 9, "a frame of no known kind")
            guard pending.count - offset >= 9 + length else { break }
            offset += 9 + length
        }
        pending.removeFirst(offset)
        hold(pending.isEmpty, "half a frame")
    }
}

/// A message of HTTP/1.1 that goes on by HTTP/2, and what the other side reads of it.
private final class Hop {
    private let client: HTTP2Session
    private let server: HTTP2Session
    private let hasBody: Bool
    private let rewrite: RequestRewrite

    init(_ library: HTTP2Library, _ mode: UInt8) {
        guard let client = HTTP2Session(.client, library, maxHeadBytes: 65_536),
            let server = HTTP2Session(.server, library, maxHeadBytes: 65_536)
        else { fatalError("no memory") }
        self.client = client
        self.server = server
        hasBody = mode & 4 != 0
        var rewrite = RequestRewrite()
        rewrite.host = Array("upstream:80".utf8)
        rewrite.preserveHost = mode & 8 != 0
        if mode & 16 != 0 { rewrite.pathPrefix = Array("/base".utf8) }
        rewrite.stripsIdentity = mode & 32 != 0
        rewrite.stripsForwarding = mode & 32 != 0
        rewrite.forwardedHost = mode & 64 != 0
        rewrite.forwarded = Array("X-Forwarded-For: 1.2.3.4\r\n".utf8)
        self.rewrite = rewrite
    }

    func run(_ input: [UInt8], answer: [UInt8]) {
        carry(client, server)
        carry(server, client)
        var parser = RequestParser()
        guard parser.parse(input.span, resumingAt: 0) == .complete else { return }
        let head = parser.head
        guard head.method != .connect, !head.hasUpgrade else { return }
        if let length = head.fields.contentLength, hasBody || length > 0 { return }
        let sent = HeaderBlock()
        rewrite.write(head, from: input.span, requestID: [], scheme: "https", into: sent)
        guard let slot = client.request(sent, endsStream: !hasBody) else { return }
        if hasBody {
            client.send(slot, input.span)
            client.end(slot, trailers: nil)
        }
        carry(client, server)

        var events = HTTP2Events()
        server.takeEvents(into: &events)
        guard case .head(let stream, let range, let endsStream) = events.list.first else {
            fatalError("the other side takes no such request: \(events.list)")
        }
        hold(endsStream == !hasBody, "a body came or went")
        let text = Array(events.text[range])
        var reader = RequestParser(limits: HTTPLimits(maxHeadBytes: 65_536))
        hold(reader.parse(text.span, resumingAt: 0) == .complete, "the other side cannot read it")
        compare(head, input, reader.head, text)
        self.answer(slot, stream, answer)
    }

    private func compare(_ head: RequestHead, _ bytes: [UInt8], _ other: RequestHead, _ text: [UInt8]) {
        hold(other.byteCount == text.count, "more than one head")
        hold(bytes[head.methodRange.range] == text[other.methodRange.range], "the method changed")
        let path = Array(bytes[head.pathAndQuery.range])
        if head.targetForm != .asterisk {
            let whole = rewrite.pathPrefix + (path.first == 0x2f ? [] : [0x2f]) + path
            hold(whole == Array(text[other.pathAndQuery.range]), "the path changed")
        }
        let host = rewrite.preserveHost && !head.authority.isEmpty ? Array(bytes[head.authority.range]) : rewrite.host
        hold(host == Array(text[other.authority.range]), "the authority changed")
        for line in other.fields.lines where rewrite.stripsIdentity {
            hold(line.known != .clientIdentity, "a forged field crossed")
        }
        // Everything end-to-end crosses, in order.
        let mine = head.fields.lines.filter { $0.known == .other && !$0.isHopByHop && !isCookie($0, bytes) }
            .map { lower(bytes[$0.name.range]) + [0x3a] + bytes[$0.value.range] }
        let others = other.fields.lines.filter { $0.known == .other && !isCookie($0, text) }
            .map { lower(text[$0.name.range]) + [0x3a] + text[$0.value.range] }
        hold(mine == others, "fields changed")
    }

    /// Cookies are joined on the way.
    private func isCookie(_ line: FieldLine, _ bytes: [UInt8]) -> Bool {
        lower(bytes[line.name.range]) == Array("cookie".utf8)
    }
    private func lower(_ bytes: ArraySlice<UInt8>) -> [UInt8] { bytes.map(ByteClass.lower) }

    private func answer(_ slot: HTTP2Slot, _ stream: HTTP2Slot, _ bytes: [UInt8]) {
        var parser = ResponseParser()
        guard parser.parse(bytes.span, resumingAt: 0, for: .get) == .complete else { return }
        let head = parser.head
        guard head.status >= 200 else { return }
        let endsStream = head.framing == .none
        if let length = head.announcedLength, !endsStream, length > 0 { return }
        let sent = HeaderBlock()
        ResponseRewrite.write(head, from: bytes.span, into: sent)
        server.answer(stream, sent, endsStream: endsStream)
        server.end(stream, trailers: nil)
        carry(server, client)
        var events = HTTP2Events()
        client.takeEvents(into: &events)
        guard case .head(slot, let range, _) = events.list.first else {
            fatalError("the other side takes no such answer: \(events.list)")
        }
        let text = Array(events.text[range])
        var reader = ResponseParser()
        hold(reader.parse(text.span, resumingAt: 0, for: .get) == .complete, "the other side cannot read it")
        hold(reader.head.byteCount == text.count && reader.head.status == head.status, "the answer changed")
    }

    private func carry(_ from: HTTP2Session, _ to: HTTP2Session) {
        let writer = ByteWriter()
        hold(from.output(into: writer, limit: 1 << 20), "the session broke")
        hold(to.receive(writer.bytes.span), "the other side takes no such frames")
    }
}
