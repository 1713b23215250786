import Addressing
import Testing

@testable import Proxy

/// What is known of a head that was refused, for the log.
@Suite struct RefusedHeadTests {
    private static let long = "/" + String(repeating: "p", count: 20_000)

    private func line(_ text: String) -> (method: String, path: String, authority: String, Proxy.Method)? {
        var parser = RequestParser()
        let bytes = Array(text.utf8)
        // What a request before has left behind must not show.
        let other = Array("DELETE http://other/left HTTP/1.0\r\nHost: other\r\n\r\n".utf8)
        _ = parser.parse(other.span, resumingAt: 0)
        guard parser.parse(bytes.span, resumingAt: 0) != .complete, let line = parser.line(of: bytes.span) else {
            return nil
        }
        func word(_ range: ByteRange) -> String { String(decoding: bytes[range.range], as: UTF8.self) }
        return (word(line.methodRange), word(line.pathAndQuery), word(line.authority), line.method)
    }

    @Test(arguments: [
        ("GET /a?b HTTP/1.1\r\nHost: h\r\nHost: i\r\n\r\n", "GET", "/a?b", ""),
        ("\r\nPOST /a HTTP/1.1\r\nContent-Length: x\r\n\r\n", "POST", "/a", ""),
        ("GET /a HTTP/1.1\r\nHo", "GET", "/a", ""),
        ("PURGE http://h:1/a HTTP/1.0\r\nBad Name: 1\r\n\r\n", "PURGE", "/a", "h:1"),
        ("CONNECT x:1 HTTP/1.1\r\nHost: y\r\n\r\n", "CONNECT", "", "x:1"),
        ("GET nowhere HTTP/1.1\r\nHost: a\r\n\r\n", "GET", "", ""),
    ])
    func aWholeRequestLineIsKnown(_ text: String, _ method: String, _ path: String, _ authority: String) throws {
        let found = try #require(line(text))
        #expect((found.method, found.path, found.authority) == (method, path, authority))
    }

    @Test(arguments: ["GET \(long) HTTP/1.1\r\nHost: a\r\n\r\n", "GET \(long)"])
    func ofATargetThatIsTooLongTheBeginningIsKnown(_ text: String) throws {
        let found = try #require(line(text))
        #expect(found.method == "GET" && found.path.hasPrefix("/ppp"))
    }

    @Test(arguments: [
        "", "G", "GET", "GET ", "GET /a", "GET /a HTTP/1", "GET  / HTTP/1.1\r\n\r\n", "GET /a HTTP/3.0\r\n\r\n",
        "GET / HTTP/1.1\n\n", "\u{16}\u{3}\u{1}", "\r\n", "GET /a b HTTP/1.1\r\n\r\n",
    ])
    func ofAMalformedLineNothingIsKnown(_ text: String) { #expect(line(text) == nil) }

    @Test func aConnectIsKnownAsSuch() throws {
        #expect(try #require(line("CONNECT x:1 HTTP/1.1\r\nHost: y\r\n\r\n")).3 == .connect)
    }

    @Test func aRefusedRequestHasTheProtocolOfItsConnection() throws {
        let connection = ConnectionRecord(.inbound, Endpoint(.loopbackV4, 9), at: 0)
        #expect(RequestRecord(connection: connection, .http2).version == .http2)
        let record = RequestRecord(connection: connection)
        var parser = RequestParser()
        let old = Array("GET / HTTP/1.0\r\n\r\n".utf8)
        _ = parser.parse(old.span, resumingAt: 0)
        record.describe(parser.head, old.span, madeID: [])
        #expect(record.version == .http1_0)
        record.reset()
        #expect(record.version == .http1_1, "what was said before is of no account")
    }
}
