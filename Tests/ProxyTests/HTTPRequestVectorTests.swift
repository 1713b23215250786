import Testing

@testable import Proxy

/// Requests that must be understood or refused, whole and in every split. Extend the tables freely.
@Suite struct HTTPRequestVectorTests {
    struct Valid: Sendable, CustomTestStringConvertible {
        let text: String
        let method: Proxy.Method
        let authority: String
        let path: String
        let framing: BodyFraming
        let keepsAlive: Bool
        var testDescription: String { text.debugDescription }

        init(
            _ text: String, _ method: Proxy.Method = .get, authority: String = "a", path: String = "/",
            framing: BodyFraming = .none, keepsAlive: Bool = true
        ) {
            self.text = text
            self.method = method
            self.authority = authority
            self.path = path
            self.framing = framing
            self.keepsAlive = keepsAlive
        }
    }

    static let valid: [Valid] = [
        Valid("GET / HTTP/1.1\r\nHost: a\r\n\r\n"),
        Valid("\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"),
        Valid("GET /a?b=c HTTP/1.1\r\nhOST:a:80\r\n\r\n", authority: "a:80", path: "/a?b=c"),
        Valid("GET / HTTP/1.1\r\nHost:\t [::1]:8080 \t\r\n\r\n", authority: "[::1]:8080"),
        Valid("GET / HTTP/1.1\r\nHost: a_b.c\r\n\r\n", authority: "a_b.c"),
        Valid("GET / HTTP/1.0\r\n\r\n", authority: "", keepsAlive: false),
        Valid("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", authority: ""),
        Valid("GET / HTTP/1.1\r\nHost: a\r\nConnection: foo, close\r\n\r\n", keepsAlive: false),
        Valid("GET http://a/b HTTP/1.1\r\nHost: a\r\n\r\n", path: "/b"),
        Valid("GET HTTP://a?b HTTP/1.1\r\nHost: A\r\n\r\n", path: "?b"),
        Valid("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", .options, path: "*"),
        Valid("CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n", .connect, authority: "a:443", path: ""),
        Valid("CONNECT a:443 HTTP/1.1\r\nHost: A\r\n\r\n", .connect, authority: "a:443", path: ""),
        Valid("CONNECT [::1]:443 HTTP/1.1\r\nHost: [::1]\r\n\r\n", .connect, authority: "[::1]:443", path: ""),
        Valid("OPTIONS http://a HTTP/1.1\r\nHost: a\r\n\r\n", .options, path: ""),
        Valid("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n", .post, framing: .length(5)),
        Valid("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n", .post, framing: .chunked),
        Valid("PURGE / HTTP/1.1\r\nHost: a\r\nX: \u{e9}\r\nEmpty:\r\n\r\n", .other),
    ]

    static let refused: [(String, HTTPError.Kind)] = [
        // request line
        ("GET  / HTTP/1.1\r\nHost: a\r\n\r\n", .badTarget),
        ("GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n", .badMethod),
        (" GET / HTTP/1.1\r\nHost: a\r\n\r\n", .badMethod),
        ("GET / HTTP/1.1 \r\nHost: a\r\n\r\n", .badRequestLine),
        ("GET / HTTP/1.1\nHost: a\n\n", .bareLineFeed),
        ("GET / HTTP/1.1\rX\r\nHost: a\r\n\r\n", .bareCarriageReturn),
        ("GET / HTTP/2.0\r\nHost: a\r\n\r\n", .badVersion),
        ("GET / HTTP/1.2\r\nHost: a\r\n\r\n", .badVersion),
        ("GET / http/1.1\r\nHost: a\r\n\r\n", .badRequestLine),
        ("GET /\r\n\r\n", .badTarget),
        ("GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n", .badTarget),
        ("GET /\u{e9} HTTP/1.1\r\nHost: a\r\n\r\n", .badTarget),
        ("GET a HTTP/1.1\r\nHost: a\r\n\r\n", .badTarget),
        ("GET * HTTP/1.1\r\nHost: a\r\n\r\n", .badTarget),
        ("GET http://u@a/ HTTP/1.1\r\nHost: a\r\n\r\n", .badTarget),
        ("CONNECT /x HTTP/1.1\r\nHost: a\r\n\r\n", .badTarget),
        ("G{T / HTTP/1.1\r\nHost: a\r\n\r\n", .badMethod),
        // host
        ("GET / HTTP/1.1\r\n\r\n", .missingHost),
        ("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", .duplicateHost),
        ("GET / HTTP/1.1\r\nHost: a, b\r\n\r\n", .badHost),
        ("GET / HTTP/1.1\r\nHost: a b\r\n\r\n", .badHost),
        ("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", .badHost),
        ("GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", .badHost),
        ("GET / HTTP/1.1\r\nHost: a:b\r\n\r\n", .badHost),
        ("GET http://a/ HTTP/1.1\r\nHost: b\r\n\r\n", .badHost),
        ("GET http://a:1/ HTTP/1.1\r\nHost: a\r\n\r\n", .badHost),
        ("CONNECT a:1 HTTP/1.1\r\nHost: a:2\r\n\r\n", .badHost),
        ("CONNECT ab:1 HTTP/1.1\r\nHost: a\r\n\r\n", .badHost),
        ("CONNECT a:1 HTTP/1.1\r\nHost: a:\r\n\r\n", .badHost),
        // fields
        ("GET / HTTP/1.1\r\nHost : a\r\n\r\n", .badFieldName),
        ("GET / HTTP/1.1\r\nHost: a\r\nBad Name: x\r\n\r\n", .badFieldName),
        ("GET / HTTP/1.1\r\nHost: a\r\n: x\r\n\r\n", .badFieldName),
        ("GET / HTTP/1.1\r\nHost: a\r\nName\r\n\r\n", .badFieldName),
        ("GET / HTTP/1.1\r\nHost: a\r\nX: y\r\n z\r\n\r\n", .obsoleteFolding),
        ("GET / HTTP/1.1\r\n Host: a\r\n\r\n", .obsoleteFolding),
        ("GET / HTTP/1.1\r\nHost: a\r\nX: y\nZ: w\r\n\r\n", .bareLineFeed),
        ("GET / HTTP/1.1\r\nHost: a\r\nX: y\rZ: w\r\n\r\n", .bareCarriageReturn),
        ("GET / HTTP/1.1\r\nHost: a\r\nX: \u{0}\r\n\r\n", .badFieldValue),
        ("GET / HTTP/1.1\r\nHost: a\r\n\n", .bareLineFeed),
        ("GET / HTTP/1.1\r\nHost: a\r\n\rX\r\n", .bareCarriageReturn),
        // framing
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n", .duplicateContentLength),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5, 5\r\n\r\n", .badContentLength),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +5\r\n\r\n", .badContentLength),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x5\r\n\r\n", .badContentLength),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\r\n", .badContentLength),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9999999999999999999\r\n\r\n", .badContentLength),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
            .lengthAndTransferEncoding
        ),
        ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", .badTransferEncoding),
        ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity\r\n\r\n", .badTransferEncoding),
        ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n", .badTransferEncoding),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
            .badTransferEncoding
        ),
        ("POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", .badTransferEncoding),
        ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding : chunked\r\n\r\n", .badFieldName),
        ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\u{b}chunked\r\n\r\n", .badFieldValue),
    ]

    /// Text with one byte per scalar, so that obs-text can be written down.
    static func bytes(_ text: String) -> [UInt8] { text.unicodeScalars.map { UInt8($0.value) } }

    /// Feeds a head up to `split`, then whole; as a connection does.
    private func parse(_ bytes: [UInt8], splitAt split: Int, _ parser: inout RequestParser) -> ParseOutcome {
        let first = parser.parse(bytes.span.extracting(0..<split), resumingAt: 0)
        guard first == .needsMore else { return first }
        return parser.parse(bytes.span, resumingAt: split)
    }

    @Test(arguments: valid)
    func isUnderstoodInEverySplit(_ vector: Valid) {
        let bytes = Self.bytes(vector.text)
        for split in 0...bytes.count {
            var parser = RequestParser()
            let outcome = parse(bytes, splitAt: split, &parser)
            #expect(outcome == .complete, "split at \(split)")
            let head = parser.head
            #expect(head.method == vector.method)
            #expect(String(decoding: bytes[head.authority.range], as: UTF8.self) == vector.authority)
            #expect(String(decoding: bytes[head.pathAndQuery.range], as: UTF8.self) == vector.path)
            #expect(head.framing == vector.framing)
            #expect(head.keepsAlive == vector.keepsAlive)
            #expect(head.byteCount == bytes.count)
        }
    }

    @Test(arguments: refused)
    func isRefusedInEverySplit(_ text: String, _ kind: HTTPError.Kind) {
        let bytes = Self.bytes(text)
        for split in 0...bytes.count {
            var parser = RequestParser()
            let outcome = parse(bytes, splitAt: split, &parser)
            #expect(outcome == .failed(HTTPError(kind)), "split at \(split)")
        }
    }

    @Test func bytesOneByOneGiveTheSame() {
        for vector in Self.valid {
            let bytes = Self.bytes(vector.text)
            var parser = RequestParser()
            var outcome = ParseOutcome.needsMore
            for count in 1...bytes.count {
                #expect(outcome == .needsMore)
                outcome = parser.parse(bytes.span.extracting(0..<count), resumingAt: count - 1)
            }
            #expect(outcome == .complete)
        }
    }

    @Test func eachLimitIsReached() {
        func outcome(_ text: String, _ limits: HTTPLimits) -> ParseOutcome {
            var parser = RequestParser(limits: limits)
            let bytes = Array(text.utf8)
            return parser.parse(bytes.span, resumingAt: 0)
        }
        let small = HTTPLimits(maxHeadBytes: 100, maxTargetBytes: 50, maxFields: 3)
        let long = String(repeating: "a", count: 100)
        #expect(outcome("GET /\(long.prefix(49)) HTTP/1.1\r\nHost: a\r\n\r\n", small) == .complete)
        #expect(outcome("GET /\(long.prefix(50)) HTTP/1.1\r\n", small) == .failed(HTTPError(.targetTooLong)))
        #expect(outcome("GET / HTTP/1.1\r\nHost: a\r\nX: \(long)", small) == .failed(HTTPError(.headTooLarge)))
        #expect(outcome("GET / HTTP/1.1\r\nHost: a\r\nX: \(long)\r\n\r\n", small) == .failed(HTTPError(.headTooLarge)))
        #expect(outcome("GET / HTTP/1.1\r\nHost: a\r\nA:\r\nB:\r\n\r\n", small) == .complete)
        #expect(outcome("GET / HTTP/1.1\r\nHost: a\r\nA:\r\nB:\r\nC:\r\n", small) == .failed(HTTPError(.tooManyFields)))
        #expect(outcome("\(long.prefix(33)) / HTTP/1.1\r\n", small) == .failed(HTTPError(.badMethod)))
        let names = (0...HTTPLimits.maxConnectionNames).map { "n\($0)" }.joined(separator: ",")
        #expect(
            outcome("GET / HTTP/1.1\r\nHost: a\r\nConnection: \(names)\r\n\r\n", HTTPLimits())
                == .failed(HTTPError(.badConnection)))
    }
}
