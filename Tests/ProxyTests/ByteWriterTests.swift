import Testing

@testable import Proxy

@Suite struct ByteWriterTests {
    private func text(_ write: (ByteWriter) -> Void) -> String {
        let writer = ByteWriter(capacity: 1)
        write(writer)
        return String(decoding: writer.bytes, as: UTF8.self)
    }

    /// Each piece is appended at every fill of the buffer, so each meets every boundary of its growth.
    @Test func nothingIsLostWhereTheBufferGrows() {
        let piece: [UInt8] = [1, 2, 3, 4, 5, 6, 7]
        for filled in 0...70 {
            let writer = ByteWriter(capacity: 4)
            for number in 0..<filled { writer.append(UInt8(number)) }
            writer.append(piece)
            writer.append(piece.span)
            writer.append("abc")
            #expect(writer.bytes == (0..<filled).map { UInt8($0) } + piece + piece + Array("abc".utf8))
            #expect(writer.count == filled + 17)
        }
    }

    @Test func aPieceMayBeMuchLargerThanTheBuffer() {
        let piece = (0..<100_000).map { UInt8(truncatingIfNeeded: $0) }
        let writer = ByteWriter(capacity: 1)
        writer.append(9)
        writer.append(piece)
        #expect(writer.bytes == [9] + piece)
    }

    @Test func nothingIsAppendedForNothing() {
        let writer = ByteWriter(capacity: 1)
        let none: [UInt8] = []
        writer.append(none)
        writer.append(none.span)
        writer.append("")
        writer.appendChunk(none.span)
        #expect(writer.count == 0)
        #expect(writer.bytes == [])
    }

    @Test func aWriterIsUsedAgain() {
        let writer = ByteWriter(capacity: 2)
        writer.append("before")
        writer.removeAll()
        #expect(writer.bytes == [])
        writer.append("after")
        #expect(writer.bytes == Array("after".utf8))
    }

    @Test func aSpanIsWhatWasWritten() {
        let writer = ByteWriter(capacity: 1)
        writer.append("written")
        let (count, text) = writer.withSpan { ($0.count, $0.text) }
        #expect(count == 7)
        #expect(text == "written")
        writer.append(" more")
        #expect(writer.withSpan { $0.text } == "written more")
        writer.removeAll()
        #expect(writer.withSpan { $0.isEmpty })
    }

    /// All numbers of one digit and of two, and both sides of each power.
    private static func numbers(base: UInt64) -> [UInt64] {
        var numbers = Array(0...base * base + 1)
        var power: UInt64 = 1
        while true {
            let (next, overflow) = power.multipliedReportingOverflow(by: base)
            numbers += overflow ? [.max - 1, .max] : [next - 1, next, next + 1]
            if overflow { return numbers }
            power = next
        }
    }

    @Test(arguments: numbers(base: 10)) func decimals(_ number: UInt64) {
        #expect(text { $0.appendDecimal(number) } == String(number))
    }

    @Test(arguments: numbers(base: 16)) func hexadecimals(_ number: UInt64) {
        #expect(text { $0.appendHex(number) } == String(number, radix: 16))
    }

    @Test(arguments: [1, 9, 10, 15, 16, 255, 256, 65_536]) func aChunkSaysItsSize(_ count: Int) {
        let data = [UInt8](repeating: UInt8(ascii: "x"), count: count)
        let chunk = text { $0.appendChunk(data.span) }
        #expect(chunk == "\(String(count, radix: 16))\r\n\(String(repeating: "x", count: count))\r\n")
    }

    @Test func theLastChunkHasTheTrailers() {
        let bytes = Array("a: 1\r\nb: 2\r\n\r\n".utf8)
        var section = FieldSection()
        _ = section.parse(bytes.span, from: 0, maxFields: 10)
        #expect(text { $0.appendLastChunk(section.lines, from: bytes.span) } == "0\r\na: 1\r\nb: 2\r\n\r\n")
        #expect(text { $0.appendLastChunk([], from: bytes.span) } == "0\r\n\r\n")
    }

    @Test func anErrorIsOneLineAndItsLengthIsRight() {
        let head = "HTTP/1.1 502 Bad Gateway\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: 5\r\n"
        #expect(
            text { $0.appendErrorResponse(status: 502, "oops", close: false, headRequest: false) }
                == head + "\r\noops\n")
        #expect(
            text { $0.appendErrorResponse(status: 502, "oops", close: true, headRequest: true) }
                == head + "connection: close\r\n\r\n")
    }
}
