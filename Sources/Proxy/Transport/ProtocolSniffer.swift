/// Tells a connection's protocol by its first bytes.
enum ProtocolSniffer {
    enum Verdict: Equatable {
        case tls, http1, http2
        case opaque
        /// Could still become HTTP: more bytes decide.
        case undecided
    }

    /// A request line longer than this that has no end yet is not taken for HTTP.
    static let maximumLineBytes = 16_384

    /// The first byte of a TLS record that carries a handshake (RFC 8446 section 5.1).
    static let tlsHandshake: UInt8 = 0x16

    private static let preface: StaticString = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

    /// Whatever a lenient HTTP server could take for a request counts as HTTP, so that the strict parser, not the
    /// opaque relay, gets to see it: a forged identity header must not slip through behind an odd first line.
    static func classify(_ bytes: Span<UInt8>) -> Verdict {
        guard !bytes.isEmpty else { return .undecided }
        if bytes[0] == tlsHandshake { return .tls }
        let start = skippingBlanks(bytes)
        if start == 0, isPreface(bytes) {
            return bytes.count >= preface.utf8CodeUnitCount ? .http2 : .undecided
        }
        var index = start
        while index < bytes.count {
            let byte = bytes[index]
            if byte == 10 || byte == 13 { return mentionsHTTP(bytes, start..<index) ? .http1 : .opaque }
            if byte < 32 && byte != 9 || byte == 127 { return .opaque }
            index += 1
        }
        if mentionsHTTP(bytes, start..<index) { return .http1 }
        return index < maximumLineBytes ? .undecided : .opaque
    }

    private static func skippingBlanks(_ bytes: Span<UInt8>) -> Int {
        var index = 0
        while index < bytes.count, [9, 10, 13, 32].contains(bytes[index]) { index += 1 }
        return index
    }

    private static func isPreface(_ bytes: Span<UInt8>) -> Bool {
        let known = unsafe UnsafeBufferPointer(start: preface.utf8Start, count: preface.utf8CodeUnitCount)
        for index in 0..<min(bytes.count, known.count) where unsafe bytes[index] != known[index] { return false }
        return true
    }

    /// `HTTP/` anywhere in the line, in any case.
    private static func mentionsHTTP(_ bytes: Span<UInt8>, _ line: Range<Int>) -> Bool {
        let word: [5 of UInt8] = [0x68, 0x74, 0x74, 0x70, 0x2f]
        guard line.count >= word.count else { return false }
        for start in line.lowerBound...(line.upperBound - word.count) {
            var matched = 0
            while matched < word.count, bytes[start + matched] | 0x20 == word[matched] | 0x20 { matched += 1 }
            if matched == word.count { return true }
        }
        return false
    }
}
