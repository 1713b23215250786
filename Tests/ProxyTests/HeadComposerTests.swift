import Testing

@testable import Proxy

@Suite struct HeadComposerTests {
    typealias Fields = [(String, String)]

    private struct Composed: Equatable {
        var text: String
        var isMalformed = false
        var isTooLarge = false
    }

    private static func compose(
        _ fields: Fields, _ kind: HeadComposer.Kind = .request, with composer: inout HeadComposer
    ) -> Composed {
        composer.begin(kind)
        for (name, value) in fields {
            let (name, value) = (Array(name.utf8), Array(value.utf8))
            composer.add(name.span, value.span)
        }
        composer.finish()
        return Composed(
            text: String(decoding: composer.text, as: UTF8.self), isMalformed: composer.isMalformed,
            isTooLarge: composer.isTooLarge)
    }

    private static func compose(
        _ fields: Fields, _ kind: HeadComposer.Kind = .request, limit: Int = 4_096
    ) -> Composed {
        var composer = HeadComposer(limit: limit)
        return compose(fields, kind, with: &composer)
    }

    private static func request(_ more: Fields, method: String = "GET", path: String = "/x?y") -> Fields {
        [(":method", method), (":scheme", "https"), (":authority", "a:80"), (":path", path)] + more
    }

    private static let connect: Fields = [(":method", "CONNECT"), (":authority", "a:443")]
    private static let extended: Fields = request([(":protocol", "websocket")], method: "CONNECT", path: "/chat")

    static let requests: [(Fields, String)] = [
        (request([]), "GET /x?y HTTP/1.1\r\nhost: a:80\r\n\r\n"),
        (request([("accept", "*/*"), ("x", "")]), "GET /x?y HTTP/1.1\r\nhost: a:80\r\naccept: */*\r\nx: \r\n\r\n"),
        (request([], method: "OPTIONS", path: "*"), "OPTIONS * HTTP/1.1\r\nhost: a:80\r\n\r\n"),
        // Host, when there is no :authority, or beside the same one.
        (
            [(":method", "GET"), (":scheme", "https"), (":path", "/"), ("host", "b")],
            "GET / HTTP/1.1\r\nhost: b\r\n\r\n"
        ),
        (request([("host", "A:80"), ("x", "1")]), "GET /x?y HTTP/1.1\r\nhost: a:80\r\nx: 1\r\n\r\n"),
        // Crumbs, wherever they are.
        (
            request([("cookie", "a=1"), ("x", "1"), ("cookie", "b=2"), ("cookie", "c=3")]),
            "GET /x?y HTTP/1.1\r\nhost: a:80\r\nx: 1\r\ncookie: a=1; b=2; c=3\r\n\r\n"
        ),
        (request([("cookie", "a=1; b=2")]), "GET /x?y HTTP/1.1\r\nhost: a:80\r\ncookie: a=1; b=2\r\n\r\n"),
        (connect, "CONNECT a:443 HTTP/1.1\r\nhost: a:443\r\n\r\n"),
        // No key for what is no WebSocket.
        (
            request([(":protocol", "echo"), ("x", "1")], method: "CONNECT", path: "/"),
            "GET / HTTP/1.1\r\nhost: a:80\r\nconnection: upgrade\r\nupgrade: echo\r\nx: 1\r\n\r\n"
        ),
    ]

    @Test(arguments: requests) func aRequestIsTheSameInHTTP1(_ fields: Fields, _ text: String) {
        #expect(Self.compose(fields) == Composed(text: text))
    }

    @Test func extendedConnectIsTheUpgradeItStandsFor() throws {
        let fields = Self.extended + [("sec-websocket-version", "13"), ("sec-websocket-key", "the client's")]
        let form = try Regex<(Substring, Substring)>(
            """
            GET /chat HTTP/1\\.1\\r\\nhost: a:80\\r\\nconnection: upgrade\\r\\nupgrade: websocket\\r\\n\
            sec-websocket-key: ([A-Za-z0-9+/]{22}==)\\r\\nsec-websocket-version: 13\\r\\n\\r\\n
            """)
        let keys = try (0..<2).map { _ in
            let composed = Self.compose(fields)
            #expect(!composed.isMalformed)
            let match = try #require(composed.text.matchingSemantics(form), "\(composed.text)")
            return match
        }
        #expect(keys[0] != keys[1], "a nonce is new each time (RFC 6455 section 4.1)")
    }

    static let malformed: [Fields] = [
        request([("x", "1"), (":protocol", "websocket")]),
        request([("x", "1"), (":path", "/other")]),
        request([(":unknown", "1")]),
        request([("host", "other")]),
        request([("host", "a:80"), ("host", "other")]),
        request([], path: "x"),
        request([], path: ""),
        request([], path: "**"),
        request([], path: "http://a/"),
        [(":method", "GET"), (":scheme", "https"), (":authority", "a")],
        // :protocol goes with CONNECT, and CONNECT with a path needs it.
        request([(":protocol", "websocket")]),
        request([], method: "CONNECT"),
        connect + [(":protocol", "websocket")],
        request([(":protocol", "websocket")], method: "CONNECT", path: "chat"),
    ]

    @Test(arguments: malformed) func whatHTTP1CannotSayIsMalformed(_ fields: Fields) {
        #expect(Self.compose(fields).isMalformed)
    }

    @Test func answersAndTrailersAreTheSameInHTTP1() {
        #expect(
            Self.compose([(":status", "200"), ("x", "1"), ("cookie", "a"), ("cookie", "b")], .response)
                == Composed(text: "HTTP/1.1 200 \r\nx: 1\r\ncookie: a\r\ncookie: b\r\n\r\n"))
        #expect(Self.compose([("x", "1"), ("y", "2")], .trailers) == Composed(text: "x: 1\r\ny: 2\r\n\r\n"))
        #expect(Self.compose([("x", "1"), (":status", "200")], .response).isMalformed)
        #expect(Self.compose([(":status", "200")], .trailers).isMalformed)
    }

    @Test(arguments: [("100", false), ("103", false), ("199", false), ("200", true), ("404", true), ("599", true)])
    func answersBelow200AreNotFinal(_ status: String, _ isFinal: Bool) {
        var composer = HeadComposer(limit: 100)
        _ = Self.compose([(":status", status)], .response, with: &composer)
        #expect(composer.isFinal == isFinal)
    }

    /// A Host that is left out counts nevertheless.
    static let withoutHost = requests.filter { !$0.0.contains { $0.0 == "host" } }

    @Test(arguments: withoutHost) func aHeadMayBeAsLargeAsTheLimit(_ fields: Fields, _ text: String) {
        #expect(Self.compose(fields, limit: text.utf8.count) == Composed(text: text))
        for limit in 0..<text.utf8.count { #expect(Self.compose(fields, limit: limit).isTooLarge, "limit \(limit)") }
    }

    @Test func aTargetCountsOnce() {
        let path = "/" + String(repeating: "p", count: 1_000)
        let fields = Self.request([("x", "1"), ("cookie", "a=1")], path: path)
        let text = "GET \(path) HTTP/1.1\r\nhost: a:80\r\nx: 1\r\ncookie: a=1\r\n\r\n"
        #expect(Self.compose(fields, limit: text.utf8.count) == Composed(text: text))
    }

    @Test func whatIsTooLargeIsNotKept() {
        let value = String(repeating: "v", count: 90)
        for name in [":method", ":path", ":authority", ":protocol", "cookie", "x"] {
            var composer = HeadComposer(limit: 200)
            let fields = [(":method", "GET")] + Array(repeating: (name, value), count: 100)
            #expect(Self.compose(fields, with: &composer).isTooLarge, "\(name)")
            #expect(composer.text.count <= 300, "\(name)")
        }
    }

    @Test func nothingOfOneHeadIsLeftInTheNext() {
        var composer = HeadComposer(limit: 200)
        let plain = Self.request([("x", "1")])
        let expected = Composed(text: "GET /x?y HTTP/1.1\r\nhost: a:80\r\nx: 1\r\n\r\n")
        for fields in Self.malformed + [Self.extended, Self.request([("cookie", "a=1")])] {
            _ = Self.compose(fields, with: &composer)
            #expect(Self.compose(plain, with: &composer) == expected)
        }
        #expect(Self.compose([("x", String(repeating: "x", count: 300))], with: &composer).isTooLarge)
        #expect(Self.compose(plain, with: &composer) == expected)
        let hosted: Fields = [(":method", "GET"), (":scheme", "https"), (":path", "/"), ("host", "b")]
        #expect(Self.compose(hosted, with: &composer) == Composed(text: "GET / HTTP/1.1\r\nhost: b\r\n\r\n"))
    }
}

extension String {
    /// The one group of a match of the whole text, scalar by scalar: as characters, CR and LF are one.
    fileprivate func matchingSemantics(_ form: Regex<(Substring, Substring)>) -> Substring? {
        (try? form.matchingSemantics(.unicodeScalar).wholeMatch(in: self))?.output.1
    }
}
