import NIOCore
import NIOEmbedded
import NIOHTTP1

/// Reads with llhttp as SwiftNIO sets it: none of its lenient flags.
struct LlhttpReader {
    private(set) var reading = Reading<HTTPParserError>()
    private let side: Side
    private let channel = EmbeddedChannel()

    init(_ side: Side) throws {
        self.side = side
        var limits = NIOHTTPDecoderLimitConfiguration()
        limits.maxHeaderFieldSize = 1 << 20
        limits.maxHeaderFieldCount = 1 << 20
        switch side {
        case .requests:
            let decoder = HTTPRequestDecoder(
                leftOverBytesStrategy: .dropBytes, informationalResponseStrategy: .forward, limitConfiguration: limits)
            try channel.pipeline.syncOperations.addHandler(ByteToMessageHandler(decoder))
        case .responses(let methods):
            let decoder = HTTPResponseDecoder(
                leftOverBytesStrategy: .dropBytes, informationalResponseStrategy: .forward, limitConfiguration: limits)
            try channel.pipeline.syncOperations.addHandler(ByteToMessageHandler(decoder))
            // What was asked decides what an answer is.
            for index in 0..<16 {
                let method = HTTPMethod(rawValue: methods[min(index, methods.count - 1)])
                let head = HTTPRequestHead(version: .http1_1, method: method, uri: "/")
                try channel.writeOutbound(HTTPClientRequestPart.head(head))
            }
        }
    }

    mutating func feed(_ piece: ArraySlice<UInt8>) throws {
        guard reading.isOpen else { return }
        do {
            try channel.writeInbound(ByteBuffer(bytes: piece))
        } catch {
            reading.ending = .refused(error as? HTTPParserError ?? .unknown)
        }
        try takeParts()
    }

    /// The peer has closed its side. An incomplete message is no refusal.
    mutating func finish() throws {
        _ = try? channel.finish()
        try takeParts()
    }

    private mutating func takeParts() throws {
        switch side {
        case .requests:
            while let part = try channel.readInbound(as: HTTPServerRequestPart.self) {
                switch part {
                case .head(let head):
                    // SwiftNIO's name for it lacks the hyphen.
                    let method = head.method == .MSEARCH ? "M-SEARCH" : head.method.rawValue
                    begin(method, head.uri, head.version.minor, head.isKeepAlive, head.headers)
                case .body(let bytes): reading.messages[reading.messages.count - 1].body += bytes.readableBytesView
                case .end(let trailers): end(trailers)
                }
            }
        case .responses:
            while let part = try channel.readInbound(as: HTTPClientResponsePart.self) {
                switch part {
                case .head(let head):
                    begin(String(head.status.code), "", head.version.minor, head.isKeepAlive, head.headers)
                    // The decoder tells no end of these.
                    if (100..<200).contains(head.status.code), head.status.code != 101 { end(nil) }
                case .body(let bytes): reading.messages[reading.messages.count - 1].body += bytes.readableBytesView
                case .end(let trailers): end(trailers)
                }
            }
        }
    }

    private mutating func begin(
        _ start: String, _ target: String, _ minorVersion: Int, _ keepsAlive: Bool, _ headers: HTTPHeaders
    ) {
        reading.messages.append(
            Message(
                start: start, target: target, minorVersion: minorVersion, keepsAlive: keepsAlive,
                fields: headers.map { Field($0.name, $0.value) }))
    }

    private mutating func end(_ trailers: HTTPHeaders?) {
        reading.messages[reading.messages.count - 1].isComplete = true
        reading.messages[reading.messages.count - 1].trailers = (trailers ?? [:]).map { Field($0.name, $0.value) }
    }
}
