@testable import Proxy

/// One end of an HTTP/2 connection without a socket, and what it has heard.
final class HTTP2Peer {
    /// What came on a stream since its slot was taken last.
    struct Message: Equatable {
        var heads: [String] = []
        var body: [UInt8] = []
        var trailers: String?
        /// END_STREAM came, with a head or a piece of the body.
        var hasEnded = false
        var isTooLarge = false
        var isMalformed = false
        /// The code that the stream was closed with; nil while it is open.
        var code: UInt32?
    }

    let session: HTTP2Session
    private let isServer: Bool
    private(set) var messages: [HTTP2Slot: Message] = [:]
    private(set) var goodbyes = 0
    /// What the session answered when it got its last bytes.
    private(set) var isSound = true
    /// Takes bodies as they come; else they fill the window.
    var consumes = true
    /// Gives the slots of closed streams back at once.
    var frees = true
    var outputLimit = 16_384

    init(_ role: HTTP2Session.Role, maxHeadBytes: Int = 32_768) {
        guard let library = HTTP2Library(), let session = HTTP2Session(role, library, maxHeadBytes: maxHeadBytes)
        else { preconditionFailure("no memory") }
        self.session = session
        isServer = role == .server
    }

    /// One call of `output`.
    func say() -> [UInt8] {
        let writer = ByteWriter()
        precondition(session.output(into: writer, limit: outputLimit), "the session broke")
        // A stream may be over with what was sent.
        takeEvents(of: [])
        return writer.bytes
    }

    /// Everything there is to say.
    func sayAll() -> [UInt8] {
        var all: [UInt8] = []
        while true {
            let bytes = say()
            guard !bytes.isEmpty else { return all }
            all += bytes
        }
    }

    func hear(_ bytes: [UInt8]) {
        isSound = session.receive(bytes.span)
        takeEvents(of: bytes)
    }

    private func takeEvents(of bytes: [UInt8]) {
        var events = HTTP2Events()
        session.takeEvents(into: &events)
        for event in events.list { happened(event, bytes, events.text) }
    }

    private func happened(_ event: HTTP2Event, _ bytes: [UInt8], _ text: [UInt8]) {
        switch event {
        case .head(let slot, let range, let endsStream):
            if isServer { messages[slot] = Message() }
            messages[slot]?.heads.append(String(decoding: text[range], as: UTF8.self))
            messages[slot]?.hasEnded = endsStream
        case .headTooLarge(let slot, _): messages[slot] = Message(isTooLarge: true)
        case .headMalformed(let slot): messages[slot] = Message(isMalformed: true)
        case .trailers(let slot, let range):
            messages[slot]?.trailers = String(decoding: text[range], as: UTF8.self)
        case .data(let slot, let range):
            messages[slot]?.body += bytes[range]
            if consumes { session.consumeAll(slot) }
        case .end(let slot): messages[slot]?.hasEnded = true
        case .closed(let slot, let code):
            messages[slot]?.code = code
            if frees { session.free(slot) }
        case .goAway: goodbyes += 1
        }
    }

    /// Begins a stream of a client, with a body to come unless `endsStream`.
    func request(_ fields: KeyValuePairs<StaticString, String> = [:], endsStream: Bool = true) -> HTTP2Slot? {
        let block = HeaderBlock(Self.request)
        block.append(fields)
        guard let slot = session.request(block, endsStream: endsStream) else { return nil }
        messages[slot] = Message()
        return slot
    }

    private static let request: KeyValuePairs<StaticString, String> = [
        ":method": "POST", ":scheme": "https", ":authority": "a", ":path": "/x",
    ]

    func answer(_ slot: HTTP2Slot, _ status: String = "200", endsStream: Bool = true) {
        session.answer(slot, HeaderBlock([":status": status]), endsStream: endsStream)
    }

    func send(_ slot: HTTP2Slot, _ payload: [UInt8]) { session.send(slot, payload.span) }
}

extension HeaderBlock {
    convenience init(_ fields: KeyValuePairs<StaticString, String>) {
        self.init()
        append(fields)
    }

    func append(_ fields: KeyValuePairs<StaticString, String>) {
        for (name, value) in fields {
            let bytes = Array(value.utf8)
            append(name, bytes.span)
        }
    }
}

/// A client and a server that know each other's settings.
struct HTTP2Pair {
    let client = HTTP2Peer(.client)
    let server = HTTP2Peer(.server)

    init() { run() }

    /// Carries bytes until neither side has more to say.
    func run() {
        while true {
            let upward = client.say()
            if !upward.isEmpty { server.hear(upward) }
            let downward = server.say()
            if !downward.isEmpty { client.hear(downward) }
            if upward.isEmpty, downward.isEmpty { return }
        }
    }
}

/// A frame as bytes, made or found (RFC 9113 section 4.1).
struct HTTP2Frame: Equatable {
    var type: UInt8
    var flags: UInt8 = 0
    var stream: UInt32 = 0
    var payload: [UInt8] = []

    static let data: UInt8 = 0
    static let priority: UInt8 = 2
    static let settings: UInt8 = 4
    static let ping: UInt8 = 6
    static let goAway: UInt8 = 7

    var bytes: [UInt8] {
        let count = payload.count
        return [UInt8(count >> 16), UInt8(count >> 8 & 255), UInt8(count & 255), type, flags]
            + (0..<4).map { UInt8(truncatingIfNeeded: stream >> (24 - 8 * $0)) } + payload
    }

    /// Those of a server's output, which has no preface.
    static func all(in bytes: [UInt8]) -> [HTTP2Frame] {
        var frames: [HTTP2Frame] = []
        var start = 0
        while start + 9 <= bytes.count {
            let count = Int(bytes[start]) << 16 | Int(bytes[start + 1]) << 8 | Int(bytes[start + 2])
            let stream = bytes[start + 5..<start + 9].reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
            let payload = bytes[start + 9..<start + 9 + count]
            frames.append(
                HTTP2Frame(type: bytes[start + 3], flags: bytes[start + 4], stream: stream, payload: Array(payload)))
            start += 9 + count
        }
        precondition(start == bytes.count, "half a frame")
        return frames
    }

    /// The error code of a GOAWAY.
    var code: UInt32? {
        type == Self.goAway ? payload[4..<8].reduce(UInt32(0)) { $0 << 8 | UInt32($1) } : nil
    }
}
