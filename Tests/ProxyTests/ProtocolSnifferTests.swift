import Testing

@testable import Proxy

@Suite struct ProtocolSnifferTests {
    private func classify(_ bytes: [UInt8]) -> ProtocolSniffer.Verdict { ProtocolSniffer.classify(bytes.span) }

    @Test(
        arguments: [
            ("GET / HTTP/1.1\r\n", .http1), ("PROPFIND /a HTTP/1.1\r\nHost: b\r\n\r\n", .http1),
            ("\u{16}\u{03}\u{01}", .tls), ("\u{16}", .tls),
            ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", .http2), ("PRI * HTTP/2.0\r\n\r\nSM", .undecided),
            ("*1\r\n$4\r\nPING\r\n", .opaque), ("PING\r\n", .opaque), ("GET key\r\n", .opaque),
            ("\u{0}\u{0}\u{0}\u{8}", .opaque), ("SSH-2.0-x\r\n", .opaque),
            ("", .undecided), ("G", .undecided), ("GET /long", .undecided),
            // What a lenient server might still take for a request.
            ("\nGET / HTTP/1.1\r\n", .http1), (" GET / http/1.1\n", .http1), ("GET\t/\tHTTP/1.0\r\n", .http1),
            ("\r\n\r\nGET / HTTP/1.1", .http1), ("GET /x HTTP/", .http1),
        ] as [(String, ProtocolSniffer.Verdict)])
    func firstBytesTellTheProtocol(_ text: String, _ verdict: ProtocolSniffer.Verdict) {
        #expect(classify(text.unicodeScalars.map { UInt8($0.value) }) == verdict)
    }

    @Test func moreBytesNeverTurnARequestIntoAnythingElse() {
        let request = Array("  \r\nPOST /path?x=1 HTTP/1.1\r\nHost: a\r\n\r\n".utf8)
        for count in 0...request.count {
            let verdict = classify(Array(request[0..<count]))
            #expect(verdict == .http1 || verdict == .undecided)
        }
    }

    @Test func aLineWithoutEndIsNotWaitedForForEver() {
        let line = [UInt8](repeating: UInt8(ascii: "a"), count: ProtocolSniffer.maximumLineBytes)
        #expect(classify(line) == .opaque)
        #expect(classify(line.dropLast()) == .undecided)
    }
}
