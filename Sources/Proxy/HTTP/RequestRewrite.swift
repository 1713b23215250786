/// What is changed in the requests of one connection on their way to the upstream. What is the same for all of
/// them is rendered once.
struct RequestRewrite: ~Copyable {
    /// Keep the client's Host; else `host` is sent.
    var preserveHost = true
    var host: [UInt8] = []
    /// Put before the path; without a slash at its end.
    var pathPrefix: [UInt8] = []
    /// Drop the client's `X-Forwarded-*` and `X-Real-IP`.
    var stripsForwarding = false
    /// Drop the client's identity fields.
    var stripsIdentity = false
    /// Add `X-Forwarded-Host` with the client's authority.
    var forwardedHost = false
    /// Whole field lines to add: forwarding, then identity.
    var forwarded: [UInt8] = []
    var identity: [UInt8] = []

    /// Writes a head in origin-form. Fields of the connection are dropped, framing is written anew.
    ///
    /// - Parameter requestID: a new one; empty when the client brought its own.
    func write(
        _ head: borrowing RequestHead, from bytes: Span<UInt8>, requestID: [UInt8], into writer: ByteWriter
    ) {
        writer.append(bytes.extracting(head.methodRange.range))
        writer.append(0x20)
        writeTarget(head, bytes, writer)
        writer.append(" HTTP/1.1\r\nhost: ")
        if preserveHost, !head.authority.isEmpty {
            writer.append(bytes.extracting(head.authority.range))
        } else {
            writer.append(host)
        }
        writer.append("\r\n")
        let upgrades = head.hasUpgrade
        FieldCopy.append(head.fields.lines, from: bytes, to: writer) { line in
            line.known == .upgrade ? upgrades : keeps(line, head.fields.requestID)
        }
        if upgrades { writer.append("connection: upgrade\r\n") }
        switch head.framing {
        case .none, .untilClose: break
        case .chunked: writer.append("transfer-encoding: chunked\r\n")
        case .length(let length):
            writer.append("content-length: ")
            writer.appendDecimal(length)
            writer.append("\r\n")
        }
        writer.append(forwarded)
        if forwardedHost, !head.authority.isEmpty {
            writer.append("X-Forwarded-Host: ")
            writer.append(bytes.extracting(head.authority.range))
            writer.append("\r\n")
        }
        writer.append(identity)
        if !requestID.isEmpty {
            writer.append("x-request-id: ")
            writer.append(requestID)
            writer.append("\r\n")
        }
        writer.append("\r\n")
    }

    /// The same for HTTP/2 (RFC 9113 section 8.3.1), which requests for another protocol do not go by.
    ///
    /// - Parameter scheme: `https` where the upstream is reached by TLS.
    func write(
        _ head: borrowing RequestHead, from bytes: Span<UInt8>, requestID: [UInt8], scheme: StaticString,
        into block: HeaderBlock
    ) {
        block.append(":method", bytes.extracting(head.methodRange.range))
        block.append(":scheme", scheme)
        if preserveHost, !head.authority.isEmpty {
            block.append(":authority", bytes.extracting(head.authority.range))
        } else {
            block.append(":authority", host.span)
        }
        let path = bytes.extracting(head.pathAndQuery.range)
        if head.isAboutServer {
            block.append(":path", "*")
        } else if path.isEmpty || path[0] != 0x2f {
            block.append(":path", pathPrefix + [0x2f], path)
        } else {
            block.append(":path", pathPrefix, path)
        }
        for line in head.fields.lines where keeps(line, head.fields.requestID) {
            block.append(line, from: bytes)
        }
        if head.fields.acceptsTrailers { block.append("te", "trailers") }
        if let length = head.fields.contentLength { block.append("content-length", number: length) }
        block.append(lines: forwarded)
        if forwardedHost, !head.authority.isEmpty {
            block.append("x-forwarded-host", bytes.extracting(head.authority.range))
        }
        block.append(lines: identity)
        if !requestID.isEmpty { block.append("x-request-id", requestID.span) }
    }

    /// Whether a field of the client goes on as it stands.
    private func keeps(_ line: FieldLine, _ requestID: ByteRange?) -> Bool {
        switch line.known {
        case .host, .contentLength, .upgrade: false
        case .forwarded: !stripsForwarding && !line.isHopByHop
        case .clientIdentity: !stripsIdentity && !line.isHopByHop
        case .requestID: line.value == requestID
        case .other, .contentType, .connection, .transferEncoding, .expect, .te, .keepAlive, .proxyConnection,
            .proxyAuthenticate, .proxyAuthorization:
            !line.isHopByHop
        }
    }

    private func writeTarget(_ head: borrowing RequestHead, _ bytes: Span<UInt8>, _ writer: ByteWriter) {
        if head.isAboutServer { return writer.append(0x2a) }
        writer.append(pathPrefix)
        let path = bytes.extracting(head.pathAndQuery.range)
        // An absolute-form target may have no path: that is the root (RFC 9112 section 3.2.1).
        if path.isEmpty || path[0] != 0x2f { writer.append(0x2f) }
        writer.append(path)
    }
}
