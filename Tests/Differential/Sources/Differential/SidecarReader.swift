/// Reads with the product's codec, as a connection does: what was not consumed is shown again, followed by more.
struct SidecarReader {
    private(set) var reading = Reading<HTTPError.Kind>()
    /// Where in the input what was not consumed begins: a refused message, or the refused part of a body.
    private(set) var offset = 0
    /// What the proxy would send on, one array a message.
    private(set) var sentOn: [[UInt8]] = []
    private let side: Side
    private var requests = RequestParser()
    private var responses = ResponseParser()
    private var buffer: [UInt8] = []
    private var scanned = 0
    private var body: BodyDecoder?
    private var answered = 0
    private var writer = ByteWriter()
    private var inChunks = false

    init(_ side: Side) { self.side = side }

    mutating func feed(_ piece: ArraySlice<UInt8>) {
        buffer += piece
        while reading.isOpen, body == nil ? readHead() : readBody() {}
    }

    /// The peer has closed its side.
    mutating func finish() {
        if reading.isOpen, body?.endsAtClose == true { endMessage([]) }
    }

    private mutating func readHead() -> Bool {
        guard !buffer.isEmpty else { return false }
        let bytes = buffer
        let outcome =
            switch side {
            case .requests: requests.parse(bytes.span, resumingAt: scanned)
            case .responses(let methods): responses.parse(bytes.span, resumingAt: scanned, for: method(of: methods))
            }
        switch outcome {
        case .needsMore:
            scanned = buffer.count
            return false
        case .failed(let error): reading.ending = .refused(error.kind)
        case .complete:
            switch side {
            case .requests: begin(requests.head)
            case .responses: begin(responses.head)
            }
            scanned = 0
        }
        return true
    }

    private func method(of methods: [String]) -> Method {
        let name = Array(methods[min(answered, methods.count - 1)].utf8)
        return Method(name.span)
    }

    private mutating func begin(_ head: RequestHead) {
        reading.messages.append(
            Message(
                start: text(head.methodRange.range), target: text(head.target.range),
                minorVersion: Int(head.minorVersion), keepsAlive: head.keepsAlive, fields: fields(head.fields.lines)))
        var rewrite = RequestRewrite()
        rewrite.host = Array("upstream".utf8)
        let writer = ByteWriter()
        let hasID = head.fields.requestID.map { !$0.isEmpty } ?? false
        rewrite.write(head, from: buffer.span, requestID: hasID ? [] : Array("id".utf8), into: writer)
        begin(head.framing, after: head.byteCount, writer, inChunks: head.framing == .chunked)
    }

    private mutating func begin(_ head: ResponseHead) {
        let isInterim = head.status < 200
        reading.messages.append(
            Message(
                start: String(head.status), minorVersion: Int(head.minorVersion),
                keepsAlive: head.keepsAlive || isInterim, fields: fields(head.fields.lines)))
        if !isInterim { answered += 1 }
        let rewrite =
            head.status == 101
            ? ResponseRewrite.switching
            : isInterim ? .interim : ResponseRewrite(for: head, minorVersion: 1, closes: false)
        let writer = ByteWriter()
        rewrite.write(head, from: buffer.span, into: writer)
        begin(head.framing, after: head.byteCount, writer, inChunks: rewrite.chunksBody)
    }

    private mutating func begin(
        _ framing: BodyFraming, after byteCount: Int, _ head: ByteWriter, inChunks: Bool
    ) {
        consume(byteCount)
        writer = head
        self.inChunks = inChunks
        body = BodyDecoder(framing)
        // After these come bytes of another protocol.
        let start = reading.messages[reading.messages.count - 1].start
        if start == "CONNECT" || start == "101" { endMessage([]) }
    }

    private mutating func readBody() -> Bool {
        guard var decoder = body else { return false }
        defer { if body != nil { body = decoder } }
        let bytes = buffer
        let last = reading.messages.count - 1
        switch decoder.next(bytes.span, from: 0) {
        case .data(let range):
            reading.messages[last].body += bytes[range]
            if inChunks {
                writer.appendChunk(bytes.span.extracting(range))
            } else {
                writer.append(bytes.span.extracting(range))
            }
            consume(range.upperBound)
        case .needsMore(let consumed):
            consume(consumed)
            return false
        case .end(let consumed):
            reading.messages[last].trailers = fields(decoder.trailers)
            endMessage(decoder.trailers)
            consume(consumed)
        case .failed(let error): reading.ending = .refused(error.kind)
        }
        return true
    }

    private mutating func endMessage(_ trailers: [FieldLine]) {
        let bytes = buffer
        if inChunks { writer.appendLastChunk(trailers, from: bytes.span) }
        sentOn.append(writer.bytes)
        body = nil
        let last = reading.messages.count - 1
        reading.messages[last].isComplete = true
        let message = reading.messages[last]
        if !message.keepsAlive || message.start == "CONNECT" || message.start == "101" { reading.ending = .over }
    }

    private mutating func consume(_ count: Int) {
        buffer.removeFirst(count)
        offset += count
    }

    private func text(_ range: Range<Int>) -> String { String(decoding: buffer[range], as: UTF8.self) }

    private func fields(_ lines: [FieldLine]) -> [Field] {
        lines.map { Field(text($0.name.range), text($0.value.range)) }
    }
}
