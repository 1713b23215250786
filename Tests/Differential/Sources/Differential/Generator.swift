/// Makes connections' bytes from the grammar of RFC 9112, and breaks it here and there.
///
/// Every choice is an ordinary one or, once in `oddity` times, one that has parted parsers before: that is what
/// request smuggling is made of.
struct Generator {
    private var random: SplitMix64
    private var oddity = 1

    init(seed: UInt64) { random = SplitMix64(seed: seed) }

    mutating func next() -> Case {
        oddity = random.pick([1_000_000, 40, 15, 8])
        let methods = (0..<3).map { _ in pick(["GET", "POST"], ["HEAD"]) }
        let side = random.oneIn(3) ? Side.responses(methods) : .requests
        var text = ""
        for _ in 0..<random.pick([1, 1, 2, 3]) { text += side == .requests ? request() : response() }
        // Whoever misjudges an end, misses this or sees more than it.
        if side == .requests { text += "GET /last HTTP/1.1\r\nHost: last\r\n\r\n" }
        var bytes = latin1(text)
        if random.oneIn(5) { mutate(&bytes) }
        return Case(side: side, bytes: bytes, cuts: cuts(bytes.count))
    }

    private mutating func pick(_ usual: [String], _ odd: [String]) -> String {
        random.oneIn(oddity) ? random.pick(odd) : random.pick(usual)
    }

    // MARK: lines

    private mutating func lineEnd() -> String {
        pick(["\r\n"], ["\n", "\r", "\r\r\n", "\n\r", " \r\n", "\t\r\n", "\0\r\n", "\u{b}\r\n", "\r\n ", ""])
    }

    private mutating func blank() -> String { pick([" "], ["  ", "\t", "", "\u{b}", "\u{a0}", "\r\n "]) }

    private mutating func version() -> String {
        pick(
            ["HTTP/1.1"],
            [
                "HTTP/1.0", "HTTP/1.0", "HTTP/1.2", "HTTP/0.9", "HTTP/2.0", "HTTP/1.10", "HTTP/01.1", "http/1.1",
                "HTTP/1.", "",
            ])
    }

    private mutating func field(_ name: String, _ value: String) -> String {
        let name = pick([name, name.lowercased()], [" \(name)", "\(name) ", "\(name)\t", "\(name)\0", "(\(name)", ""])
        let colon = pick([": ", ":"], [" :", ":\t ", ":\r\n ", "", "::", ":\u{b}", ":\u{85}"])
        let value = pick([value, value + " "], ["\(value)\t", "\(value)\r\n folded", "\"\(value)\"", "\(value),", ""])
        return name + colon + value + lineEnd()
    }

    private mutating func request() -> String {
        let method = pick(
            ["GET", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"],
            [
                "CONNECT", "TRACE", "HEAD", "PURGE", "M-SEARCH", "SOURCE", "PRI", "DESCRIBE", "get", "BREW", "G(T", "",
                "A".repeated(33),
            ])
        let target = pick(
            ["/", "/a?b=c", "/%20;x", "http://a/b"],
            [
                "*", "a", "a:443", "[::1]:443", "//a", "/a#b", "#", "?", "/\u{e9}", "/a\u{7f}", "/\"<>\\^`{|}",
                "http://a", "HTTP://A?b",
                "https://a/", "http://u@a/", "http://b/", "http://", "http:/a", "http://[::1]/", "http://a:b/",
                "ftp://a/",
                "/a b", "",
            ])
        let body = self.body()
        var lines = body.lines
        if !random.oneIn(oddity) { lines.append(field("Host", pick(["a"], Self.oddHosts))) }
        lines += extras()
        lines.shuffle(using: &random)
        let empty = pick([""], ["\r\n", "\r\n\r\n", "\n", "\r", "\n\r\n"])
        let start = method + blank() + target + blank() + version() + lineEnd()
        return empty + start + lines.joined() + lineEnd() + body.text
    }

    private static let oddHosts = [
        "b", "", "a:80", "[::1]", "[::1]:80", "a b", "a, b", "a/b", "u@a", "a:x", "a_b", "%41", "[", "a\0",
    ]

    private mutating func response() -> String {
        let status = pick(
            ["200", "404", "302", "500"],
            [
                "100", "103", "101", "199", "204", "204", "205", "304", "304", "99", "600", "999", "000", "20", "2000",
                "+20",
            ])
        let reason = pick([" OK", " Not Found"], ["", " ", "  OK", " \u{e9}", " a\0b", " a\tb", "OK"])
        let body = self.body()
        var lines = body.lines + extras()
        lines.shuffle(using: &random)
        let empty = pick([""], ["\r\n", "\n"])
        return empty + version() + blank() + status + reason + lineEnd() + lines.joined() + lineEnd() + body.text
    }

    private mutating func extras() -> [String] {
        var lines: [String] = []
        while random.oneIn(3) {
            let (name, values): (String, [String]) = random.pick([
                (
                    "Connection",
                    ["keep-alive", "close", "X-A", "close, X-A", "upgrade", "Keep-Alive, close", "content-length", ","]
                ),
                ("Upgrade", ["websocket", "h2c", "TLS/1.0, HTTP/1.1"]),
                (
                    "X-A",
                    [
                        "b", "\u{e9}", "b\tc", "\0", "b\u{1}", "b\rc", "b\nContent-Length: 3",
                        String(repeating: "v", count: 300),
                    ]
                ),
                ("Expect", ["100-continue"]),
                ("Trailer", ["X-T"]),
                ("TE", ["trailers"]),
                ("Content_Length", ["5"]),
                ("Proxy-Connection", ["keep-alive"]),
                ("X-Client-CN", ["admin"]),
                ("X-Request-Id", ["1", ""]),
                ("Host", ["a"]),
            ])
            guard name != "Host" && name != "Upgrade" || random.oneIn(min(oddity, 100)) else { continue }
            lines.append(field(name, pick([values[0]], values)))
        }
        return lines
    }

    // MARK: bodies

    private mutating func content() -> String {
        random.pick([
            "hello", "", "x", "0\r\n\r\n", "\r\n", "GET /hidden HTTP/1.1\r\nHost: h\r\n\r\n", "HTTP/1.1 200 OK\r\n\r\n",
            String(repeating: "b", count: random.below(600)),
        ])
    }

    private mutating func body() -> (lines: [String], text: String) {
        switch random.below(6) {
        case 0: return ([], "")
        case 1: return ([], random.oneIn(oddity) ? content() : "")
        case 2, 3:
            let content = self.content()
            let count = content.unicodeScalars.count
            var lines = [field("Content-Length", length(count))]
            if random.oneIn(oddity) { lines.append(field("Content-Length", length(count))) }
            if random.oneIn(oddity) { lines.append(field("Transfer-Encoding", coding())) }
            return (lines, content)
        case _:
            var lines = [field("Transfer-Encoding", coding())]
            if random.oneIn(oddity) { lines.append(field("Transfer-Encoding", coding())) }
            if random.oneIn(oddity) { lines.append(field("Content-Length", length(5))) }
            return (lines, chunks())
        }
    }

    private mutating func length(_ count: Int) -> String {
        pick(
            ["\(count)"],
            [
                "+\(count)", "-\(count)", "0\(count)", "\(count), \(count)", "\(count) \(count)", "\(count + 1)",
                "\(max(0, count - 1))",
                "0x\(String(count, radix: 16))", "\(count).0", "\(count);", "", "18446744073709551616",
                "9999999999999999999",
                "0000000000000000000\(count)",
            ])
    }

    private mutating func coding() -> String {
        pick(
            ["chunked"],
            [
                "Chunked", "CHUNKED", "gzip, chunked", "chunked, gzip", "chunked, chunked", "chunked,", ",chunked",
                "xchunked",
                "chunkedx", "identity", "chunked;a=b", "\u{b}chunked", "chunked\0", "chunk", "",
            ])
    }

    private mutating func chunks() -> String {
        var text = ""
        while !random.oneIn(3) {
            let content = self.content()
            guard !content.isEmpty else { continue }
            let count = content.unicodeScalars.count
            text += size(count) + lineEnd() + content + lineEnd()
        }
        text += size(0) + lineEnd()
        while random.oneIn(4) {
            let name = pick(
                ["X-T", "X-U"],
                ["Content-Length", "Transfer-Encoding", "Host", "Host", "Connection", "Upgrade", "X-Client-CN"])
            text += field(name, pick(["1"], ["chunked", "a", "x-t", "close", "\u{e9}"]))
        }
        return text + lineEnd()
    }

    private mutating func size(_ count: Int) -> String {
        let digits = String(count, radix: 16, uppercase: random.oneIn(2))
        return pick(
            [digits],
            [
                "0\(digits)", "0000000000000000\(digits)", "0x\(digits)", "+\(digits)", "-\(digits)", " \(digits)",
                "\(digits) ", "\(digits)\t",
                "\(digits);a=b", "\(digits);a", "\(digits);a=\"b;c\"", "\(digits) ;a=b", "\(digits);a b", "\(digits);",
                "\(digits);\u{e9}",
                "\(digits);a=b;c", "\(digits);a\rb", "\(digits);a\nb", "fffffffffffffffff", "7fffffffffffffff",
                "\(digits)g", "",
                String(count + 1, radix: 16), String(max(0, count - 1), radix: 16), "\(digits);" + "x".repeated(1_100),
            ])
    }

    // MARK: bytes

    private static let sharp = latin1("\r\n\r\n\t \0\u{b}:;,=/#?*@[]{}\"%0159aAfFxX+-._\u{7f}\u{80}\u{ff}")

    /// A few bytes replaced, inserted, taken away or doubled, wherever they are.
    private mutating func mutate(_ bytes: inout [UInt8]) {
        for _ in 0...random.below(3) {
            guard !bytes.isEmpty else { return }
            let index = random.below(bytes.count)
            let end = min(bytes.count, index + 1 + random.below(8))
            switch random.below(5) {
            case 0: bytes[index] = random.pick(Self.sharp)
            case 1: bytes.insert(random.pick(Self.sharp), at: index)
            case 2: bytes.removeSubrange(index..<end)
            case 3: bytes.insert(contentsOf: Array(bytes[index..<end]), at: index)
            case _: bytes.removeSubrange(index...)
            }
        }
    }

    private mutating func cuts(_ count: Int) -> [Int] {
        guard count > 1, !random.oneIn(3) else { return [] }
        if random.oneIn(10) { return Array(1..<count) }
        return (0...random.below(4)).map { _ in random.below(count) }.sorted()
    }
}

extension String {
    fileprivate func repeated(_ count: Int) -> String { String(repeating: self, count: count) }
}
