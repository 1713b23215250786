import Addressing
import Glibc
import Logging
import Testing

@testable import Proxy

@Suite struct LogTests {
    private func json(_ bytes: [UInt8]) -> String {
        var line: [UInt8] = []
        JSONText.append(bytes.span, to: &line)
        return String(decoding: line, as: UTF8.self)
    }

    @Test(arguments: [
        ("plain", #""plain""#), ("a\"b\\c", #""a\"b\\c""#), ("a\nb\r\t", #""a\nb\r\t""#),
        ("\u{1}\u{7f}", #""\u0001\u007f""#),
        ("é€😀", "\"é€😀\""), ("", "\"\""),
        ("\u{80}\u{9b}31m\u{9f}\u{a0}", "\"\\u0080\\u009b31m\\u009f\u{a0}\""),
        ("\u{2027}\u{2028}\u{2029}\u{202f}", "\"\u{2027}\\u2028\\u2029\u{202f}\""),
        ("\u{61c}\u{200e}\u{200f}\u{202a}\u{202e}", #""\u061c\u200e\u200f\u202a\u202e""#),
        ("\u{2065}\u{2066}\u{2069}\u{206a}", "\"\u{2065}\\u2066\\u2069\u{206a}\""),
    ])
    func textIsEscaped(_ text: String, _ expected: String) { #expect(json(Array(text.utf8)) == expected) }

    @Test(
        arguments: [[0xff], [0xc3], [0xc0, 0x80], [0xed, 0xa0, 0x80], [0xf5, 0x80, 0x80, 0x80], [0xe2, 0x82]]
            as [[UInt8]])
    func bytesThatAreNoTextDoNotBreakALine(_ bytes: [UInt8]) {
        let text = json(bytes)
        #expect(text.hasPrefix("\"\\ufffd"))
        #expect(text.utf8.allSatisfy { $0 < 0x80 })
    }

    @Test(
        arguments: [
            (0, "1970-01-01T00:00:00Z"), (951_782_400, "2000-02-29T00:00:00Z"), (1_709_251_199, "2024-02-29T23:59:59Z"),
            (4_102_444_800, "2100-01-01T00:00:00Z"), (1_795_219_200, "2026-11-21T00:00:00Z"),
        ] as [(Int64, String)])
    func secondsBecomeDates(_ seconds: Int64, _ text: String) { #expect(Timestamp.text(seconds: seconds) == text) }

    /// Both ends of a pipe; closed with the test.
    private struct Pipe: ~Copyable {
        let reader: Descriptor
        let writer: Descriptor

        init() {
            var ends: [CInt] = [0, 0]
            precondition(unsafe pipe(&ends) == 0)
            reader = Descriptor(owning: ends[0])
            writer = Descriptor(owning: ends[1])
        }

        func readAll(until enough: (String) -> Bool) -> String {
            var bytes: [UInt8] = []
            var buffer = [UInt8](repeating: 0, count: 65_536)
            while !enough(String(decoding: bytes, as: UTF8.self)) {
                let count = unsafe read(reader.raw, &buffer, buffer.count)
                guard count > 0 else { break }
                bytes += buffer[0..<count]
            }
            return String(decoding: bytes, as: UTF8.self)
        }
    }

    @Test func aReaderThatStopsCostsLinesNotTime() {
        let pipe = Pipe()
        let sink = LogSink(output: pipe.writer.raw)
        sink.start()
        let line = [UInt8](repeating: UInt8(ascii: "x"), count: 1_023) + [0x0a]
        // More than the queue, the batch under way and the pipe hold together: this returns all the same.
        let count = 2 * LogSink.maximumWaitingBytes / line.count + 2_000
        for _ in 0..<count { sink.write(line) }
        // How often the losses are told is a matter of scheduling; every line is either there or counted.
        let text = pipe.readAll { $0.hasSuffix("\"}\n") && LogTests.keptLines($0) + LogTests.toldLosses($0) >= count }
        let kept = LogTests.keptLines(text)
        #expect(kept < count)
        #expect(LogTests.toldLosses(text) == count - kept)
        #expect(sink.droppedLines == count - kept)
    }

    private static func keptLines(_ text: String) -> Int { text.split(separator: "\n").count { $0.hasPrefix("x") } }

    private static func toldLosses(_ text: String) -> Int {
        text.matches(of: /log lines dropped.*"lines":"(\d+)"}/).compactMap { Int($0.1) }.reduce(0, +)
    }

    /// Lines of a kilobyte, told apart by a number.
    private static func line(_ number: Int) -> [UInt8] {
        Array("{\"line\":\"\(number)\",\"x\":\"\(String(repeating: "x", count: 1_000))\"}\n".utf8)
    }

    private static func numbers(_ text: String) -> [Int] {
        text.matches(of: /{"line":"(\d+)","x":"x{1000}"}\n/).compactMap { Int($0.1) }
    }

    @Test func linesBeforeTheStartWaitForAReaderThatDoesNot() {
        let pipe = Pipe()
        let sink = LogSink(output: pipe.writer.raw)
        let count = 200  // more than a pipe holds
        for number in 0..<count { sink.write(LogTests.line(number)) }
        #expect(sink.droppedLines == 0)
        sink.start()
        let text = pipe.readAll { LogTests.numbers($0).count == count }
        #expect(LogTests.numbers(text) == Array(0..<count))
    }

    @Test func aFlushBeforeTheStartWaitsForAWhile() throws {
        let pipe = Pipe()
        let sink = LogSink(output: pipe.writer.raw)
        for number in 0..<200 { sink.write(LogTests.line(number)) }
        let reader = pipe.reader.raw
        let thread = try Thread("late reader") {
            usleep(300_000)
            var buffer = [UInt8](repeating: 0, count: 1 << 20)
            var missing = (0..<200).reduce(0) { $0 + LogTests.line($1).count }
            while missing > 0 { missing -= unsafe max(0, read(reader, &buffer, buffer.count)) }
        }
        sink.flush()
        thread.join()
        let quick = ContinuousClock().measure { sink.flush() }
        #expect(quick < .milliseconds(100), "nothing is left")
    }

    @Test func aReaderThatNeverComesIsNotWaitedForLong() {
        let pipe = Pipe()
        let sink = LogSink(output: pipe.writer.raw)
        for number in 0..<200 { sink.write(LogTests.line(number)) }
        let took = ContinuousClock().measure { sink.flush() }
        #expect(took < .seconds(4))
    }

    @Test(arguments: [true, false])
    func aFullDiskCostsWholeLinesWhichAreCounted(_ isStarted: Bool) throws {
        let path = "/dev/shm/sidecar-log-test-\(getpid())-\(isStarted)"
        let full = Descriptor(owning: unsafe open("/dev/full", O_WRONLY | O_CLOEXEC))
        let file = Descriptor(owning: unsafe open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600))
        unsafe unlink(path)
        let output = dup(full.raw)
        defer { close(output) }
        let sink = LogSink(output: output)
        if isStarted { sink.start() }
        for number in 0..<5 { sink.write(LogTests.line(number)) }
        sink.flush()
        #expect(sink.droppedLines == 5)
        // There is room again.
        dup2(file.raw, output)
        for number in 5..<10 { sink.write(LogTests.line(number)) }
        sink.flush()
        #expect(sink.droppedLines == 5)
        var buffer = [UInt8](repeating: 0, count: 65_536)
        let count = unsafe pread(file.raw, &buffer, buffer.count, 0)
        let text = String(decoding: buffer[..<max(0, count)], as: UTF8.self)
        #expect(LogTests.numbers(text) == Array(5..<10))
        #expect(LogTests.toldLosses(text) == 5)
        #expect(text.contains("could not be written: No space left on device"))
    }

    @Test func aLineThatWasCutIsFinishedFirst() {
        let pipe = Pipe()
        let full = Descriptor(owning: unsafe open("/dev/full", O_WRONLY | O_CLOEXEC))
        _ = fcntl(pipe.writer.raw, 1_031, 4_096)  // F_SETPIPE_SZ
        _ = fcntl(pipe.writer.raw, F_SETFL, O_NONBLOCK)
        let output = dup(pipe.writer.raw)
        defer { close(output) }
        // A piece of 4096 bytes holds four lines and the beginning of a fifth.
        var writer = LineWriter(output: output)
        let lines = (0..<10).flatMap { LogTests.line($0) }
        let first = writer.write(lines, .until(0))
        #expect(!first.left.isEmpty && first.lost == 0)
        dup2(full.raw, output)
        let second = writer.write(first.left, .until(0))
        #expect(second.left.isEmpty && second.errorNumber == ENOSPC)
        dup2(pipe.writer.raw, output)
        let reader = pipe.reader.raw
        var buffer = [UInt8](repeating: 0, count: 65_536)
        var text = String(decoding: buffer[..<(unsafe max(0, read(reader, &buffer, buffer.count)))], as: UTF8.self)
        #expect(writer.write(LogTests.line(10), .until(0)).left.isEmpty)
        text += String(decoding: buffer[..<(unsafe max(0, read(reader, &buffer, buffer.count)))], as: UTF8.self)
        let kept = LogTests.numbers(text)
        #expect(kept.last == 10)
        #expect(kept.count == 11 - second.lost)
        #expect(text.split(separator: "\n").count == kept.count, "no line is torn")
    }

    @Test func messagesAreJSONLines() {
        let pipe = Pipe()
        let logger = Logger.lines(LogSink(output: pipe.writer.raw), level: .info)
        logger.debug("not this")
        logger.warning("a \"message\"", metadata: ["b": "2", "a": "1"])
        let text = pipe.readAll { $0.hasSuffix("\n") }
        #expect(text.hasSuffix(#""level":"warning","message":"a \"message\"","a":"1","b":"2"}"# + "\n"))
        #expect(!text.contains("not this"))
    }

    @Test func messagesAsTextAreOneLine() {
        let pipe = Pipe()
        let logger = Logger.lines(LogSink(output: pipe.writer.raw), level: .info, format: .text)
        logger.warning("a message", metadata: ["b": "two words", "a": "1\n2", "c": "plain"])
        let text = pipe.readAll { $0.hasSuffix("\n") }
        #expect(text.dropFirst(24) == " WARN  a message a=\"1\\n2\" b=\"two words\" c=plain\n")
    }

    @Test(arguments: [
        ("word", "word"), ("two words", #""two words""#), ("a=b", #""a=b""#), ("", #""""#), ("é", #""é""#),
        ("\u{1b}[31m", #""\u001b[31m""#), ("\u{9b}31m", #""\u009b31m""#), ("a\u{2028}b", #""a\u2028b""#),
        ("a\"b", #""a\"b""#), ("/x/*?:;,[]{}'", "/x/*?:;,[]{}'"),
    ])
    func plainTextIsQuotedWhereItMust(_ text: String, _ expected: String) {
        var line: [UInt8] = []
        PlainText.append(text, to: &line)
        #expect(String(decoding: line, as: UTF8.self) == expected)
    }

    @Test func requestsAreLoggedWithoutTheirQuery() throws {
        var parser = RequestParser()
        let request = Array("GET /a?token=secret HTTP/1.1\r\nHost: h\r\nX-Request-Id: \"q\"\r\n\r\n".utf8)
        try #require(parser.parse(request.span, resumingAt: 0) == .complete)
        var connection = ConnectionRecord(.inbound, Endpoint(.loopbackV4, 9), at: 0)
        connection.peerIdentity = Array("spiffe://x".utf8)
        let record = RequestRecord(connection: connection)
        record.begin(at: 1_000_000)
        let none: [UInt8] = []
        record.describe(parser.head, request.span, madeID: none)
        record.status = 200
        record.bytesSent = 5
        var lines: [UInt8] = []
        AccessLogLine().append(record, endedAt: 1_012_345, wallOffset: 0, to: &lines)
        #expect(
            String(decoding: lines, as: UTF8.self)
                == #"{"timestamp":"1970-01-01T00:00:01.000Z","level":"info","message":"access","direction":"inbound","start_time":"1970-01-01T00:00:01.000Z","method":"GET","path":"/a","protocol":"HTTP/1.1","response_code":200,"response_flags":"-","bytes_received":0,"bytes_sent":5,"duration":12,"upstream_host":"-","downstream_remote_address":"127.0.0.1:9","peer_identity":"spiffe://x","authority":"h","request_id":"\"q\""}"#
                + "\n")
    }
}
