/// Puts a received header block into HTTP/1.1's form, so that one strict parser and one set of rules see every request
/// and every answer, whatever they came by (RFC 9113 section 8.3).
///
/// What cannot be said in HTTP/1.1 is refused here; everything else is left to the parser's judgement.
struct HeadComposer {
    enum Kind { case request, response, trailers }

    private(set) var text: [UInt8] = []
    private var kind = Kind.request
    private var hasStartLine = false
    private var method: [UInt8] = []
    private var path: [UInt8] = []
    private var authority: [UInt8] = []
    private var upgradeProtocol: [UInt8] = []
    private var status: [UInt8] = []
    private var hasAuthority = false
    /// Crumbs of the Cookie field, joined (RFC 9113 section 8.2.3).
    private var cookie: [UInt8] = []
    private(set) var isMalformed = false
    private(set) var isTooLarge = false

    /// - Parameter limit: bytes of the head in HTTP/1.1's form.
    let limit: Int

    init(limit: Int) { self.limit = limit }

    /// An answer that no other follows (RFC 9110 section 15.2).
    var isFinal: Bool { status.first != UInt8(ascii: "1") }

    mutating func begin(_ kind: Kind) {
        self.kind = kind
        text.removeAll(keepingCapacity: true)
        method.removeAll(keepingCapacity: true)
        path.removeAll(keepingCapacity: true)
        authority.removeAll(keepingCapacity: true)
        upgradeProtocol.removeAll(keepingCapacity: true)
        status.removeAll(keepingCapacity: true)
        cookie.removeAll(keepingCapacity: true)
        hasStartLine = kind == .trailers
        hasAuthority = false
        isMalformed = false
        isTooLarge = false
    }

    mutating func add(_ name: Span<UInt8>, _ value: Span<UInt8>) {
        guard !isTooLarge else { return }
        let isPseudo = !name.isEmpty && name[0] == UInt8(ascii: ":")
        let count = isPseudo ? value.count : name.count + value.count + 4
        guard heldBytes + count <= limit else {
            isTooLarge = true
            return
        }
        if isPseudo { return addPseudo(name, value) }
        if !hasStartLine { writeStartLine() }
        if kind == .request {
            if name.equals("cookie") {
                if !cookie.isEmpty { cookie.append(contentsOf: [0x3b, 0x20]) }
                return append(value, to: &cookie)
            }
            if name.equals("host"), hasAuthority {
                // A request that names two hosts is read differently by different servers.
                if !value.equalsIgnoringCase(authority.span) { isMalformed = true }
                return
            }
            // These make an upgrade of HTTP/1.1, which HTTP/2 asks for in another way.
            if !upgradeProtocol.isEmpty, name.equals("sec-websocket-key") { return }
        }
        append(name, to: &text)
        text.append(contentsOf: [0x3a, 0x20])
        append(value, to: &text)
        text.append(contentsOf: [13, 10])
    }

    /// What there is of the head; no more than it will have in the end.
    private var heldBytes: Int {
        guard !hasStartLine else { return text.count + cookie.count }
        return method.count + path.count + authority.count + upgradeProtocol.count + status.count
    }

    /// Closes the section.
    mutating func finish() {
        if !hasStartLine { writeStartLine() }
        if !cookie.isEmpty { appendLine("cookie: ", cookie) }
        text.append(contentsOf: [13, 10])
        if text.count > limit { isTooLarge = true }
    }

    private mutating func addPseudo(_ name: Span<UInt8>, _ value: Span<UInt8>) {
        if hasStartLine {
            isMalformed = true
        } else if name.equals(":method") {
            append(value, to: &method)
        } else if name.equals(":path") {
            append(value, to: &path)
        } else if name.equals(":authority") {
            hasAuthority = true
            append(value, to: &authority)
        } else if name.equals(":protocol") {
            append(value, to: &upgradeProtocol)
        } else if name.equals(":status") {
            append(value, to: &status)
        } else if !name.equals(":scheme") {
            isMalformed = true
        }
    }

    private mutating func writeStartLine() {
        hasStartLine = true
        switch kind {
        case .trailers: break
        case .response:
            append("HTTP/1.1 ")
            text.append(contentsOf: status)
            append(" \r\n")
        case .request: writeRequestLine()
        }
    }

    private mutating func writeRequestLine() {
        let isUpgrade = !upgradeProtocol.isEmpty
        let isConnect = method.span.equals("CONNECT")
        if isUpgrade != (isConnect && !path.isEmpty) { isMalformed = true }
        if !isConnect || isUpgrade {
            // `*` is for the parser to judge.
            if path.isEmpty || path[0] != UInt8(ascii: "/") && path != [UInt8(ascii: "*")] { isMalformed = true }
        }
        if isUpgrade { append("GET") } else { text.append(contentsOf: method) }
        text.append(0x20)
        text.append(contentsOf: isConnect && !isUpgrade ? authority : path)
        append(" HTTP/1.1\r\n")
        if hasAuthority { appendLine("host: ", authority) }
        guard isUpgrade else { return }
        // Extended CONNECT (RFC 8441) as the upgrade it stands for.
        append("connection: upgrade\r\n")
        appendLine("upgrade: ", upgradeProtocol)
        if upgradeProtocol.span.equals("websocket") {
            var nonce: [UInt8] = []
            for _ in 0..<16 { nonce.append(UInt8.random(in: .min ... .max)) }
            append("sec-websocket-key: ")
            Base64.append(nonce, to: &text)
            append("\r\n")
        }
    }

    private mutating func append(_ literal: StaticString) {
        unsafe text.append(contentsOf: UnsafeBufferPointer(start: literal.utf8Start, count: literal.utf8CodeUnitCount))
    }

    private mutating func appendLine(_ name: StaticString, _ value: [UInt8]) {
        append(name)
        text.append(contentsOf: value)
        append("\r\n")
    }

    private func append(_ bytes: Span<UInt8>, to target: inout [UInt8]) {
        unsafe bytes.withUnsafeBufferPointer { unsafe target.append(contentsOf: $0) }
    }
}
