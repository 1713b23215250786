import Testing

@testable import Proxy

@Suite struct HTTPBodyDecoderTests {
    /// Decodes a body shown in two pieces, as a connection would: what was not consumed is shown again.
    private func decode(_ body: [UInt8], _ framing: BodyFraming, splitAt split: Int) -> (
        payload: String, rest: Int?, HTTPError.Kind?
    ) {
        var decoder = BodyDecoder(framing)
        var payload: [UInt8] = []
        var shown = Array(body[0..<split])
        var later = Array(body[split...])
        var offset = 0
        while true {
            switch decoder.next(shown.span, from: offset) {
            case .data(let range):
                payload += shown[range]
                offset = range.upperBound
                if decoder.isFinished {
                    return (String(decoding: payload, as: UTF8.self), shown.count - offset + later.count, nil)
                }
            case .needsMore(let consumed):
                guard !later.isEmpty else { return (String(decoding: payload, as: UTF8.self), nil, nil) }
                shown = Array(shown[consumed...]) + later
                later = []
                offset = 0
            case .end(let consumed):
                return (String(decoding: payload, as: UTF8.self), shown.count - consumed + later.count, nil)
            case .failed(let error): return ("", nil, error.kind)
            }
        }
    }

    @Test(
        arguments: [
            ("5\r\nhello\r\n0\r\n\r\nREST", "hello"), ("0\r\n\r\nREST", ""),
            ("1\r\na\r\nA\r\n0123456789\r\n0\r\n\r\nREST", "a0123456789"),
            ("5;name=value;x=\"y\"\r\nhello\r\n00\r\n\r\nREST", "hello"),
            ("5\r\nhello\r\n0\r\nTrailer: x\r\nOther: y\r\n\r\nREST", "hello"),
        ] as [(String, String)])
    func chunksAreFoundInEverySplit(_ body: String, _ payload: String) {
        let bytes = Array(body.utf8)
        for split in 0...bytes.count {
            let result = decode(bytes, .chunked, splitAt: split)
            #expect(result.payload == payload, "split at \(split)")
            #expect(result.rest == 4, "split at \(split)")
        }
    }

    @Test(
        arguments: [
            ("5\nhello\r\n0\r\n\r\n", .badChunk), ("5\r\nhello0\r\n\r\n", .badChunk),
            ("5\r\nhello\n0\r\n\r\n", .badChunk),
            ("x\r\n", .badChunk), ("\r\n", .badChunk), ("-5\r\n", .badChunk), ("0x5\r\nhello\r\n", .badChunk),
            ("5 \r\nhello\r\n", .badChunk), (" 5\r\nhello\r\n", .badChunk), ("5;a\nb\r\nhello\r\n", .badChunk),
            ("5;a\rb\r\nhello\r\n", .badChunk), ("1000000000000000\r\n", .badChunk),
            ("fffffffffffffffff\r\n", .badChunk),
            ("0\r\nBad Name: x\r\n\r\n", .badTrailer), ("0\r\nX: y\n\r\n", .badTrailer),
            ("0\r\n folded\r\n\r\n", .badTrailer),
        ] as [(String, HTTPError.Kind)])
    func malformedChunksAreRefusedInEverySplit(_ body: String, _ kind: HTTPError.Kind) {
        let bytes = Array(body.utf8)
        for split in 0...bytes.count {
            #expect(decode(bytes, .chunked, splitAt: split).2 == kind, "split at \(split)")
        }
    }

    @Test func aLengthEndsWithItsLastByte() {
        let bytes = Array("helloREST".utf8)
        for split in 0...bytes.count {
            let result = decode(bytes, .length(5), splitAt: split)
            #expect(result.payload == "hello")
            #expect(result.rest == 4)
        }
    }

    @Test func withoutLengthEverythingBelongsToTheBody() {
        let result = decode(Array("all of it".utf8), .untilClose, splitAt: 3)
        #expect(result.payload == "all of it")
        #expect(result.rest == nil)
    }

    @Test func trailersOfFramingAndIdentityAreDropped() {
        let bytes = Array("0\r\nA: 1\r\nContent-Length: 5\r\nX-Client-CN: admin\r\nHost: b\r\nB: 2\r\n\r\n".utf8)
        var decoder = BodyDecoder(.chunked)
        #expect(decoder.next(bytes.span, from: 0) == .end(consumed: bytes.count))
        #expect(decoder.trailers.map { String(decoding: bytes[$0.name.range], as: UTF8.self) } == ["A", "B"])
    }

    @Test func linesWithoutEndAreRefused() {
        let extension_ = Array("5;".utf8) + [UInt8](repeating: UInt8(ascii: "a"), count: HTTPLimits.maxChunkLineBytes)
        #expect(decode(extension_, .chunked, splitAt: 0).2 == .badChunk)
        let trailer = Array("0\r\nA: ".utf8) + [UInt8](repeating: UInt8(ascii: "a"), count: HTTPLimits.maxTrailerBytes)
        #expect(decode(trailer, .chunked, splitAt: 0).2 == .badTrailer)
    }
}
