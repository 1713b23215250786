import Testing

@testable import Proxy

@Suite struct ReplayTests {
    private static let post = "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\n"

    private func kept(_ text: String = post, limit: Int, asHTTP2 endsWithHead: Bool? = nil) throws -> Replay {
        var parser = RequestParser()
        let bytes = Array((text + "rest").utf8)
        try #require(parser.parse(bytes.span, resumingAt: 0) == .complete)
        if let endsWithHead { parser.reframe(endsWithHead: endsWithHead) }
        var replay = Replay()
        replay.keep(parser.head, bytes.span, limit: limit)
        return replay
    }

    private func append(_ text: String, to replay: inout Replay) {
        let bytes = Array(text.utf8)
        replay.append(bytes.span)
    }

    @Test func theHeadIsKeptWithoutWhatFollowsIt() throws {
        let replay = try kept(limit: 1_000)
        #expect(replay.isComplete)
        #expect(replay.head == Array(Self.post.utf8))
        #expect(replay.body == [])
        #expect(!replay.isHTTP2 && !replay.hasNoBody)
    }

    @Test func aHeadMayBeAsLargeAsTheLimit() throws {
        let count = Self.post.utf8.count
        #expect(try kept(limit: count).isComplete)
        let tooLarge = try kept(limit: count - 1)
        #expect(!tooLarge.isComplete)
        #expect(tooLarge.head == [])
    }

    @Test func piecesOfTheBodyAreKeptInOrder() throws {
        for split in 0...10 {
            var replay = try kept(limit: 1_000)
            append(String("0123456789".prefix(split)), to: &replay)
            append(String("0123456789".dropFirst(split)), to: &replay)
            #expect(replay.isComplete)
            #expect(replay.body == Array("0123456789".utf8))
        }
    }

    @Test func oneByteTooManyAndNothingIsSentAgain() throws {
        let limit = Self.post.utf8.count + 10
        var replay = try kept(limit: limit)
        append("0123456789", to: &replay)
        #expect(replay.isComplete)
        append("x", to: &replay)
        #expect(!replay.isComplete)
        #expect(replay.head == [] && replay.body == [])
        // A later piece would be a body without its beginning.
        append("y", to: &replay)
        #expect(!replay.isComplete && replay.body == [])
    }

    @Test(
        arguments: [
            ("GET / HTTP/1.1\r\nhost: a\r\n\r\n", true), (post, false),
            ("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n", true),
            ("POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n", false),
        ])
    func aRequestWithoutBodyIsKnown(_ text: String, _ hasNoBody: Bool) throws {
        #expect(try kept(text, limit: 1_000).hasNoBody == hasNoBody)
    }

    @Test(arguments: [true, false]) func framesSayWhetherABodyFollowsInHTTP2(_ endsWithHead: Bool) throws {
        let replay = try kept("POST / HTTP/1.1\r\nhost: a\r\n\r\n", limit: 1_000, asHTTP2: endsWithHead)
        #expect(replay.isHTTP2)
        #expect(replay.hasNoBody == endsWithHead)
    }

    @Test func theNextRequestBeginsWithNothing() throws {
        var replay = try kept(limit: 1_000)
        append("0123456789", to: &replay)
        replay.begin()
        #expect(!replay.isComplete && replay.head == [] && replay.body == [])
        append("late", to: &replay)
        #expect(replay.body == [])
    }
}
