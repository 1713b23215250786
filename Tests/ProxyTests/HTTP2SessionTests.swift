import Testing

@testable import Proxy

/// Messages of a client and a server that are joined without sockets.
@Suite struct HTTP2SessionTests {
    private let question = HTTP2Peer.Message(
        heads: ["POST /x HTTP/1.1\r\nhost: a\r\nx-a: 1\r\n\r\n"], body: Array("question".utf8),
        trailers: "x-sum: 8\r\n\r\n")
    private let reply = HTTP2Peer.Message(
        heads: [
            "HTTP/1.1 103 \r\nlink: x\r\n\r\n", "HTTP/1.1 100 \r\n\r\n", "HTTP/1.1 200 \r\nx-b: 2\r\n\r\n",
        ], body: Array("reply".utf8), trailers: "x-sum: 5\r\n\r\n", code: 0)

    /// A client that has asked, and its bytes from the first.
    private func ask() throws -> (HTTP2Peer, HTTP2Slot, [UInt8]) {
        let client = HTTP2Peer(.client)
        let slot = try #require(client.request(["x-a": "1"], endsStream: false))
        client.send(slot, Array("quest".utf8))
        client.send(slot, Array("ion".utf8))
        client.session.end(slot, trailers: HeaderBlock(["x-sum": "8"]))
        return (client, slot, client.sayAll())
    }

    private func answer(_ server: HTTP2Peer, _ slot: HTTP2Slot) -> [UInt8] {
        server.session.answerInterim(slot, HeaderBlock([":status": "103", "link": "x"]))
        server.session.answerInterim(slot, HeaderBlock([":status": "100"]))
        server.session.answer(slot, HeaderBlock([":status": "200", "x-b": "2"]), endsStream: false)
        server.send(slot, Array("reply".utf8))
        server.session.end(slot, trailers: HeaderBlock(["x-sum": "5"]))
        return server.sayAll()
    }

    @Test func aRequestWithBodyAndTrailersIsReadInEverySplit() throws {
        let (_, _, bytes) = try ask()
        for split in 0...bytes.count {
            let server = HTTP2Peer(.server)
            server.hear(Array(bytes[..<split]))
            #expect(server.isSound, "split at \(split)")
            server.hear(Array(bytes[split...]))
            #expect(server.isSound, "split at \(split)")
            #expect(server.messages == [0: question], "split at \(split)")
        }
    }

    @Test func anAnswerWithInterimOnesBodyAndTrailersIsReadInEverySplit() throws {
        let (_, _, asked) = try ask()
        let server = HTTP2Peer(.server)
        server.hear(asked)
        let bytes = answer(server, 0)
        #expect(server.messages[0]?.code == 0)
        for split in 0...bytes.count {
            let (client, slot, _) = try ask()
            client.hear(Array(bytes[..<split]))
            client.hear(Array(bytes[split...]))
            #expect(client.messages == [slot: reply], "split at \(split)")
            #expect(client.session.activeStreams == 0, "split at \(split)")
        }
    }

    @Test func aMessageWithoutBodyEndsWithItsHead() throws {
        let pair = HTTP2Pair()
        let slot = try #require(pair.client.request())
        pair.run()
        #expect(pair.server.messages[0]?.hasEnded == true)
        pair.server.answer(0, "204")
        pair.run()
        #expect(
            pair.client.messages[slot] == HTTP2Peer.Message(heads: ["HTTP/1.1 204 \r\n\r\n"], hasEnded: true, code: 0))
    }

    @Test func aBodyThatComesLateFollowsItsHead() throws {
        let pair = HTTP2Pair()
        let slot = try #require(pair.client.request(endsStream: false))
        pair.run()
        #expect(pair.server.messages[0]?.heads.count == 1)
        #expect(pair.server.messages[0]?.hasEnded == false)
        for piece in ["a", "b", "c"] {
            pair.client.send(slot, Array(piece.utf8))
            pair.run()
        }
        pair.client.session.end(slot, trailers: nil)
        pair.run()
        #expect(pair.server.messages[0]?.body == Array("abc".utf8))
        #expect(pair.server.messages[0]?.hasEnded == true)
    }

    @Test func nothingIsSentAfterTheEnd() throws {
        let pair = HTTP2Pair()
        let slot = try #require(pair.client.request())
        pair.client.send(slot, [1])
        pair.client.session.end(slot, trailers: HeaderBlock(["x-late": "1"]))
        pair.run()
        #expect(pair.server.messages[0]?.body == [])
        #expect(pair.server.messages[0]?.trailers == nil)

        let other = try #require(pair.client.request(endsStream: false))
        pair.client.send(other, [1])
        pair.client.session.end(other, trailers: nil)
        pair.client.send(other, [2])
        pair.client.session.end(other, trailers: HeaderBlock(["x-late": "1"]))
        pair.run()
        #expect(pair.server.messages[1]?.body == [1])
        #expect(pair.server.messages[1]?.trailers == nil)
    }

    @Test func aHeadBeyondTheLimitIsToldAndTheConnectionGoesOn() throws {
        let client = HTTP2Peer(.client)
        let server = HTTP2Peer(.server, maxHeadBytes: 1_000)
        let large = try #require(client.request(["x-large": String(repeating: "x", count: 2_000)]))
        let small = try #require(client.request(["x-small": "1"]))
        server.hear(client.sayAll())
        #expect(server.isSound)
        #expect(server.messages[large]?.isTooLarge == true)
        #expect(server.messages[small]?.heads == ["POST /x HTTP/1.1\r\nhost: a\r\nx-small: 1\r\n\r\n"])
    }

    @Test(arguments: [60_000, 66_000, 100_000, 120_000]) func aLargeHeadArrivesWhole(_ count: Int) throws {
        let client = HTTP2Peer(.client, maxHeadBytes: 1 << 20)
        let server = HTTP2Peer(.server)
        let fields = HeaderBlock([":status": "200"])
        for _ in 0..<count / 1_000 { fields.append(["x": String(repeating: "v", count: 995)]) }
        let line = "x: \(String(repeating: "v", count: 995))\r\n"
        try #require(client.request() == 0)
        server.hear(client.sayAll())
        server.session.answer(0, fields, endsStream: true)
        client.hear(server.sayAll())
        let text = "HTTP/1.1 200 \r\n" + String(repeating: line, count: count / 1_000) + "\r\n"
        #expect(client.messages[0]?.heads == [text])
    }

    @Test func aHeadThatHTTP1CannotSayIsToldAsMalformed() throws {
        let pair = HTTP2Pair()
        let slot = try #require(pair.client.request(["host": "other"]))
        pair.run()
        #expect(pair.server.messages[0]?.isMalformed == true)
        pair.server.answer(0, "400")
        pair.run()
        #expect(pair.client.messages[slot]?.heads == ["HTTP/1.1 400 \r\n\r\n"])
    }

    @Test func trailersBeyondTheLimitResetTheirStreamOnly() throws {
        let client = HTTP2Peer(.client)
        let server = HTTP2Peer(.server, maxHeadBytes: 1_000)
        let slot = try #require(client.request(endsStream: false))
        client.session.end(slot, trailers: HeaderBlock(["x-large": String(repeating: "x", count: 2_000)]))
        let other = try #require(client.request())
        server.hear(client.sayAll())
        client.hear(server.sayAll())
        #expect(server.isSound)
        #expect(server.messages[slot]?.trailers == nil)
        #expect(client.messages[slot]?.code == HTTP2ErrorCode.cancel)
        #expect(server.messages[other]?.hasEnded == true)
    }

    @Test func whatIsNoPrefaceEndsTheSession() {
        let server = HTTP2Peer(.server)
        server.hear(Array("GET / HTTP/1.1\r\nHost: a\r\n\r\n".utf8))
        #expect(!server.isSound)
        #expect(server.session.isEnded)
        #expect(HTTP2Frame.all(in: server.sayAll()).last?.code == 1)
        #expect(server.session.isOver)
    }
}
