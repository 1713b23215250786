/// How an answer's head is written for the client.
struct ResponseRewrite {
    /// The connection ends with this answer.
    let closesDownstream: Bool
    /// The body goes out in chunks.
    let chunksBody: Bool
    private let saysKeepAlive: Bool
    private let switchesProtocol: Bool

    /// For 1xx answers, which leave the connection as it is.
    static let interim = ResponseRewrite(switchesProtocol: false)

    /// For 101: the bytes after it belong to another protocol.
    static let switching = ResponseRewrite(switchesProtocol: true)

    private init(switchesProtocol: Bool) {
        closesDownstream = false
        chunksBody = false
        saysKeepAlive = false
        self.switchesProtocol = switchesProtocol
    }

    /// - Parameters:
    ///   - minorVersion: of the client's request. HTTP/1.0 knows no chunks: a body of unknown length ends with the connection.
    ///   - closes: the connection is to end for other reasons.
    init(for head: borrowing ResponseHead, minorVersion: UInt8, closes: Bool) {
        let isUnbounded = head.framing == .chunked || head.framing == .untilClose
        chunksBody = isUnbounded && minorVersion >= 1
        closesDownstream = closes || isUnbounded && minorVersion == 0
        saysKeepAlive = !closesDownstream && minorVersion == 0
        switchesProtocol = false
    }

    /// Writes a head. Fields of the connection are dropped, framing is written anew.
    func write(_ head: borrowing ResponseHead, from bytes: Span<UInt8>, into writer: ByteWriter) {
        writer.append("HTTP/1.1 ")
        writer.appendDecimal(UInt64(head.status))
        writer.append(0x20)
        writer.append(bytes.extracting(head.reason.range))
        writer.append("\r\n")
        FieldCopy.append(head.fields.lines, from: bytes, to: writer) { line in
            line.known == .upgrade ? switchesProtocol : !line.isHopByHop && line.known != .contentLength
        }
        if switchesProtocol { writer.append("connection: upgrade\r\n") }
        if chunksBody {
            writer.append("transfer-encoding: chunked\r\n")
        } else if let length = head.lacksBody ? 0 : head.announcedLength {
            writer.append("content-length: ")
            writer.appendDecimal(length)
            writer.append("\r\n")
        }
        if closesDownstream { writer.append("connection: close\r\n") }
        if saysKeepAlive { writer.append("connection: keep-alive\r\n") }
        writer.append("\r\n")
    }

    /// Writes the head of a tunnel for HTTP/2: 101 is 200 there (RFC 8441 section 5).
    static func writeTunnel(_ head: borrowing ResponseHead, from bytes: Span<UInt8>, into block: HeaderBlock) {
        block.append(":status", "200")
        for line in head.fields.lines where !line.isHopByHop && line.known != .contentLength {
            let name = bytes.extracting(line.name.range)
            if !name.equalsIgnoringCase("sec-websocket-accept") { block.append(line, from: bytes) }
        }
    }

    /// Writes a head for HTTP/2 (RFC 9113 section 8.3.2), where framing and connection need no fields.
    static func write(_ head: borrowing ResponseHead, from bytes: Span<UInt8>, into block: HeaderBlock) {
        block.append(":status", number: UInt64(head.status))
        for line in head.fields.lines where !line.isHopByHop && line.known != .contentLength {
            block.append(line, from: bytes)
        }
        if let length = head.announcedLength { block.append("content-length", number: length) }
    }
}
