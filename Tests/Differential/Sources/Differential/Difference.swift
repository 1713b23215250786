import NIOHTTP1

/// A way in which the two parsers are known to differ, and why that is right.
struct Difference<Evidence>: Sendable {
    let name: String
    let why: String
    /// Bytes that show it; the check fails where they do not.
    let example: Case
    /// What comes after it cannot be compared.
    let endsComparison: Bool
    let applies: @Sendable (Evidence) -> Bool

    init(
        _ name: String, _ why: String, _ example: Case, endsComparison: Bool = false,
        applies: @escaping @Sendable (Evidence) -> Bool
    ) {
        self.name = name
        self.why = why
        self.example = example
        self.endsComparison = endsComparison
        self.applies = applies
    }
}

/// One parser has refused what the other has read.
struct Stop<Reason> {
    let reason: Reason
    /// As the other parser has read it.
    let message: Message
    /// The input from the refused message, or the refused part of its body, on.
    let rest: ArraySlice<UInt8>
}

extension Case {
    static func request(_ text: String) -> Case { Case(side: .requests, bytes: latin1(text)) }
    static func response(_ text: String) -> Case { Case(side: .responses(["GET"]), bytes: latin1(text)) }
    static func chunks(_ text: String) -> Case { chunks(latin1(text)) }
    static func chunks(_ bytes: [UInt8]) -> Case {
        let head = latin1("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
        return Case(side: .requests, bytes: head + bytes)
    }
}

/// Where the sidecar refuses what llhttp reads. Everything that is not listed here fails.
enum Stricter {
    typealias Rule = Difference<Stop<HTTPError.Kind>>

    static let rules: [Rule] = [
        Rule(
            "empty lines", "one empty line may precede a request (RFC 9112, 2.2), more are no request",
            .request("\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n")
        ) { stop in
            [.badMethod, .bareCarriageReturn].contains(stop.reason)
                && !["", "\r\n"].contains(leadingLineEnds(stop.rest))
        },
        Rule(
            "empty line before an answer", "an answer begins with its status line (RFC 9112, 4)",
            .response("\r\nHTTP/1.1 204 No Content\r\n\r\n")
        ) { $0.reason == .badStatusLine && leadingLineEnds($0.rest) != "" },
        Rule(
            "more blanks", "exactly one parts the words of a request line (RFC 9112, 3)",
            .request("GET  / HTTP/1.1\r\nHost: a\r\n\r\n")
        ) { stop in
            [.badTarget, .badRequestLine].contains(stop.reason)
                && firstLine(stop.rest).contains("  ")
        },
        Rule("fragment", "a fragment is never sent (RFC 9112, 3.2)", .request("GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n")) {
            $0.reason == .badTarget && $0.message.target.contains("#")
        },
        Rule(
            "target form", "a proxy serves the four forms of RFC 9112, 3.2, of http and https only",
            .request("GET a://b HTTP/1.1\r\nHost: b\r\n\r\n")
        ) { stop in
            let target = stop.message.target
            if stop.message.start == "CONNECT" || stop.reason != .badTarget { return false }
            if target == "*" { return stop.message.start != "OPTIONS" }
            return !target.hasPrefix("/") && absoluteAuthority(target) == nil
        },
        Rule(
            "authority of a target", "userinfo, and hosts with odd bytes, are read differently by different servers",
            .request("GET http://u@a/ HTTP/1.1\r\nHost: a\r\n\r\n")
        ) { stop in
            let authority =
                stop.message.start == "CONNECT" ? stop.message.target : absoluteAuthority(stop.message.target)
            return stop.reason == .badTarget && authority.map { !isAuthority($0) || $0.isEmpty } == true
        },
        Rule("no Host", "HTTP/1.1 demands it (RFC 9112, 3.2)", .request("GET / HTTP/1.1\r\n\r\n")) {
            $0.reason == .missingHost && $0.message.values("host").isEmpty && $0.message.minorVersion == 1
        },
        Rule("two Hosts", "RFC 9112, 3.2", .request("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n")) {
            $0.reason == .duplicateHost && $0.message.values("host").count > 1
        },
        Rule("malformed Host", "RFC 9112, 3.2", .request("GET / HTTP/1.1\r\nHost: a b\r\n\r\n")) {
            $0.reason == .badHost && $0.message.values("host").contains { !isAuthority($0) }
        },
        Rule(
            "Host is not the target's", "servers disagree which of the two counts",
            .request("GET http://a/ HTTP/1.1\r\nHost: b\r\n\r\n")
        ) { stop in
            let target = stop.message.target
            let authority = stop.message.start == "CONNECT" ? target : absoluteAuthority(target)
            return stop.reason == .badHost
                && stop.message.values("host").contains { $0.lowercased() != authority?.lowercased() }
        },
        Rule(
            "length of many digits", "more than 18 digits overflow somewhere on the way",
            .request("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0000000000000000005\r\n\r\nhello")
        ) { stop in
            stop.reason == .badContentLength && stop.message.values("content-length").contains { $0.utf8.count > 18 }
        },
        Rule(
            "other codings", "the proxy frames anew, so it takes no coding that it does not know (RFC 9112, 6.1)",
            .request("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n")
        ) { stop in
            stop.reason == .badTransferEncoding
                && stop.message.values("transfer-encoding").map { $0.lowercased() } != ["chunked"]
        },
        Rule(
            "chunks in HTTP/1.0", "a sign of smuggling (RFC 9112, 6.1)",
            .request("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
        ) { $0.reason == .badTransferEncoding && $0.message.minorVersion == 0 },
        Rule(
            "long head", "MAX_HEADER_BYTES",
            .request("GET / HTTP/1.1\r\nHost: a\r\nA: \(String(repeating: "a", count: 32_768))\r\n\r\n")
        ) { $0.reason == .headTooLarge && $0.rest.count > HTTPLimits().maxHeadBytes },
        Rule(
            "long target", "414 (RFC 9110, 15.5.15)",
            .request("GET /\(String(repeating: "a", count: 16_384)) HTTP/1.1\r\nHost: a\r\n\r\n")
        ) { $0.reason == .targetTooLong && $0.message.target.utf8.count > HTTPLimits().maxTargetBytes },
        Rule(
            "many fields", "bounds the work on them",
            .request("GET / HTTP/1.1\r\nHost: a\r\n\(String(repeating: "A: b\r\n", count: 256))\r\n")
        ) { $0.reason == .tooManyFields && $0.message.fields.count > HTTPLimits().maxFields },
        Rule(
            "many names in Connection", "bounds the work on them",
            .request(
                "GET / HTTP/1.1\r\nHost: a\r\nConnection: \((0...32).map { "n\($0)" }.joined(separator: ","))\r\n\r\n")
        ) { stop in
            let names = stop.message.values("connection").flatMap { $0.split(separator: ",") }
            return stop.reason == .badConnection && names.count > HTTPLimits.maxConnectionNames
        },
        Rule(
            "status beyond classes", "there are five classes (RFC 9110, 15)",
            .response("HTTP/1.1 600 What\r\nContent-Length: 0\r\n\r\n")
        ) { $0.reason == .badStatusLine && !(100..<600).contains(Int($0.message.start) ?? 0) },
        Rule(
            "control bytes in a reason", "RFC 9112, 4",
            .response("HTTP/1.1 200 O\u{1}K\r\nContent-Length: 0\r\n\r\n")
        ) { stop in
            stop.reason == .badStatusLine
                && firstLine(stop.rest).utf8.contains { $0 < 0x20 && $0 != 9 && $0 != 13 || $0 == 0x7f }
        },
        Rule(
            "bare carriage return in a status line", "it ends no line (RFC 9112, 2.2)",
            .response("HTTP/1.1 200 OK\r\rContent-Length: 0\r\n\r\n")
        ) { $0.reason == .badStatusLine && firstLine($0.rest).contains("\r") },
        Rule(
            "chunk size of many digits", "more than 15 digits overflow somewhere on the way",
            .chunks("0000000000000005\r\nhello\r\n0\r\n\r\n")
        ) { stop in
            stop.reason == .badChunk && sizeLine(stop.rest).prefix { $0.isHexDigit }.count > 15
        },
        Rule(
            "long chunk extension", "nobody uses extensions, so a long one is an attack (CVE-2023-39326)",
            .chunks("5;\(String(repeating: "x", count: 1_024))\r\nhello\r\n0\r\n\r\n")
        ) { $0.reason == .badChunk && sizeLine($0.rest).count > HTTPLimits.maxChunkLineBytes },
        Rule(
            "trailers like a head's", "what is no field of a head is no trailer either: two Hosts, a malformed length",
            .chunks("0\r\nHost: a\r\nHost: b\r\n\r\n")
        ) { stop in
            // From the bytes: the section may be cut off, and llhttp tells of none then.
            let hosts = lines(stop.rest).filter { $0.hasPrefix("host:") }.count
            let codings = lines(stop.rest).filter { $0.hasPrefix("transfer-encoding:") }
            let isOdd = codings.count > 1 || codings.contains { !$0.contains(/:[ \t]*chunked[ \t]*$/) }
            return stop.reason == .badTrailer && (hosts > 1 || isOdd)
        },
    ]
}

/// Where llhttp refuses what the sidecar reads.
enum Laxer {
    typealias Rule = Difference<Stop<HTTPParserError>>

    static let rules: [Rule] = [
        Rule(
            "unknown method", "methods are an open set (RFC 9110, 9.1); llhttp has a list",
            .request("BREW / HTTP/1.1\r\nHost: a\r\n\r\n")
        ) { $0.reason == .invalidMethod && !llhttpMethods.contains($0.message.start) },
        Rule(
            "method of another protocol",
            "methods are an open set; llhttp wants RTSP/1.0 after these, and HTTP/2.0 after PRI",
            .request("DESCRIBE / HTTP/1.1\r\nHost: a\r\n\r\n")
        ) { stop in
            [.invalidConstant, .invalidVersion].contains(stop.reason)
                && ["DESCRIBE", "SOURCE", "PRI"].contains(stop.message.start)
        },
        Rule(
            "malformed chunk extension",
            "extensions are dropped unread (RFC 9112, 7.1.1), once their line is known to be one",
            .chunks("5;\r\nhello\r\n0;a b\r\n\r\n")
        ) { $0.reason == .strictModeAssertion && hasMalformedExtension($0.rest) },
        Rule(
            "length among the trailers", "framing fields among the trailers are dropped unread (RFC 9110, 6.5.1)",
            .chunks("0\r\nContent-Length: 5\r\n\r\n")
        ) { stop in
            stop.reason == .invalidContentLength && hasTrailer("content-length", stop.rest)
        },
        Rule(
            "coding among the trailers", "the same; llhttp begins to read chunks anew",
            .chunks("0\r\nTransfer-Encoding: chunked\r\n\r\n")
        ) { $0.reason == .unknown && hasTrailer("transfer-encoding", $0.rest) },
        Rule(
            "tab after a request's coding",
            "a tab is white space around a value (RFC 9110, 5.5); llhttp reads another coding",
            .request("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\t\r\n\r\n0\r\n\r\n")
        ) { $0.reason == .unknown && hasTab($0.rest, "transfer-encoding") },
        Rule(
            "tab after a length",
            "a tab is white space around a value as a blank is (RFC 9110, 5.5); the length is written anew",
            .request("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\t\r\n\r\n")
        ) { $0.reason == .invalidContentLength && hasTab($0.rest, "content-length") },
    ]

    private static let llhttpMethods: Set<String> = [
        "GET", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "HEAD", "TRACE", "CONNECT", "PURGE", "M-SEARCH",
    ]
}

/// Both have read a message's head.
struct Pair {
    let ours: Message
    let theirs: Message
    let input: Case
}

/// Where both read a head and think differently of what comes after it.
enum Otherwise {
    typealias Rule = Difference<Pair>

    static let rules: [Rule] = [
        Rule(
            "tab after an answer's coding", "the same, and llhttp takes the body to end with the connection",
            .response("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\t\r\n\r\n0\r\n\r\n"), endsComparison: true
        ) { !$0.theirs.keepsAlive && hasTab($0.input.bytes[...], "transfer-encoding") },
        Rule(
            "close and keep-alive", "who says both, may close (RFC 9112, 9.3): no byte is read that might be another's",
            .request("GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n")
        ) { pair in
            !pair.ours.keepsAlive && pair.theirs.keepsAlive && pair.ours.names("close", in: "connection")
                && pair.ours.names("keep-alive", in: "connection")
        },
        Rule(
            "Proxy-Connection", "llhttp takes it for Connection, which nobody should (RFC 9112, C.2.2)",
            .request("GET / HTTP/1.0\r\nProxy-Connection: keep-alive\r\n\r\n")
        ) { $0.ours.keepsAlive != $0.theirs.keepsAlive && !$0.ours.values("proxy-connection").isEmpty },
        Rule(
            "interim answer that closes", "an interim answer is not the last, so it does not end the connection",
            .response("HTTP/1.0 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n"), endsComparison: true
        ) { !$0.theirs.keepsAlive && $0.ours.start.count == 3 && $0.ours.start.hasPrefix("1") },
        Rule(
            "persistence of answers to HEAD", "SwiftNIO asks llhttp before it tells that there is no body",
            Case(side: .responses(["HEAD"]), bytes: latin1("HTTP/1.1 200 OK\r\n\r\n"))
        ) { pair in
            guard case .responses(let methods) = pair.input.side, methods.contains("HEAD") else { return false }
            return pair.ours.keepsAlive && !pair.theirs.keepsAlive && pair.ours.isComplete && pair.ours.body.isEmpty
        },
    ]
}

// MARK: what the rules look for

/// Lines without their ends, in lower case.
private func lines(_ bytes: ArraySlice<UInt8>) -> [String] {
    bytes.split(separator: 10, omittingEmptySubsequences: false)
        .map { String(decoding: $0.last == 13 ? $0.dropLast() : $0, as: UTF8.self).lowercased() }
}

private func leadingLineEnds(_ bytes: ArraySlice<UInt8>) -> String {
    String(decoding: bytes.prefix { $0 == 10 || $0 == 13 }, as: UTF8.self)
}

/// The line of a start, without empty lines before it.
private func firstLine(_ bytes: ArraySlice<UInt8>) -> String {
    lines(bytes.drop { $0 == 10 || $0 == 13 })[0]
}

/// The line of a chunk's size; before it may be the end of the chunk before.
private func sizeLine(_ bytes: ArraySlice<UInt8>) -> String { lines(bytes).first { !$0.isEmpty } ?? "" }

private func hasTab(_ bytes: ArraySlice<UInt8>, _ name: String) -> Bool {
    lines(bytes).contains { $0.hasPrefix(name) && $0.contains(/\t *$/) }
}

private func hasMalformedExtension(_ bytes: ArraySlice<UInt8>) -> Bool {
    lines(bytes).contains { line in
        line.contains(/^[0-9a-f]+;/)
            && line.wholeMatch(of: /[0-9a-f]+(;[-!#$%&'*+.^_`|~0-9a-z]+(=([-!#$%&'*+.^_`|~0-9a-z]+|"[^"]*"))?)*/) == nil
    }
}

private func hasTrailer(_ name: String, _ bytes: ArraySlice<UInt8>) -> Bool {
    var isTrailer = false
    for line in lines(bytes) {
        if isTrailer, line.hasPrefix("\(name):") { return true }
        isTrailer = isTrailer && !line.isEmpty || line.contains(/^0+(;|$)/)
    }
    return false
}

/// The authority of `http://authority/…`.
private func absoluteAuthority(_ target: String) -> String? {
    for scheme in ["http://", "https://"] where target.lowercased().hasPrefix(scheme) {
        return String(target.dropFirst(scheme.count).prefix { $0 != "/" && $0 != "?" })
    }
    return nil
}

/// Host and port, said in another way than the parser says it; empty is allowed.
private func isAuthority(_ text: String) -> Bool {
    text.wholeMatch(of: /(\[[-.:_~%!$&'()*+;=0-9A-Za-z]+\]|[-._~%!$&'()*+;=0-9A-Za-z]+)(:[0-9]{0,5})?|/) != nil
}
