/// What is changed in the requests of one connection on their way to the upstream. What is the same for all of
/// them is rendered once.
struct RequestRewrite {
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
    /// - Returns: where the request id lies in the writer; nil when the client brought its own.
    func write(
        _ head: borrowing RequestHead, from bytes: Span<UInt8>, requestIDs: inout RequestIDs,
        into writer: inout ByteWriter
    ) -> Range<Int>? {
        writer.append(bytes.extracting(head.methodRange.range))
        writer.append(0x20)
        writeTarget(head, bytes, &writer)
        writer.append(" HTTP/1.1\r\nhost: ")
        if preserveHost, !head.authority.isEmpty {
            writer.append(bytes.extracting(head.authority.range))
        } else {
            writer.append(host)
        }
        writer.append("\r\n")
        let hasRequestID = keepsRequestID(head)
        let upgrades = head.hasUpgrade
        FieldCopy.append(head.fields.lines, from: bytes, to: &writer) { line in
            switch line.known {
            case .host, .contentLength: false
            case .forwarded: !stripsForwarding && !line.isHopByHop
            case .clientIdentity: !stripsIdentity && !line.isHopByHop
            case .requestID: hasRequestID
            case .upgrade: upgrades
            case .other, .connection, .transferEncoding, .expect, .te, .keepAlive, .proxyConnection,
                .proxyAuthenticate, .proxyAuthorization:
                !line.isHopByHop
            }
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
        return writeRequestID(head, &requestIDs, &writer)
    }

    private func writeTarget(_ head: borrowing RequestHead, _ bytes: Span<UInt8>, _ writer: inout ByteWriter) {
        if head.targetForm == .asterisk { return writer.append(0x2a) }
        writer.append(pathPrefix)
        let path = bytes.extracting(head.pathAndQuery.range)
        // An absolute-form target may have no path: that is the root (RFC 9112 section 3.2.1).
        if path.isEmpty || path[0] != 0x2f { writer.append(0x2f) }
        writer.append(path)
    }

    private func keepsRequestID(_ head: borrowing RequestHead) -> Bool {
        guard let brought = head.fields.requestID else { return false }
        return !brought.isEmpty
    }

    private func writeRequestID(
        _ head: borrowing RequestHead, _ requestIDs: inout RequestIDs, _ writer: inout ByteWriter
    ) -> Range<Int>? {
        guard !keepsRequestID(head) else {
            writer.append("\r\n")
            return nil
        }
        writer.append("x-request-id: ")
        let start = writer.count
        requestIDs.append(to: &writer)
        writer.append("\r\n\r\n")
        return start..<start + RequestIDs.byteCount
    }
}
