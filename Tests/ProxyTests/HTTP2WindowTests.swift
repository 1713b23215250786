import Testing

@testable import Proxy

/// Windows, and how much is said at a time.
@Suite struct HTTP2WindowTests {
    private static let window = Int(HTTP2Bounds.streamWindow)
    private let content = (0..<200_000).map { UInt8(truncatingIfNeeded: $0 * 7 + $0 >> 8) }

    /// Sends the content one way while its reader takes a window's worth at a time.
    private func carry(_ pair: HTTP2Pair, from sender: HTTP2Peer, to reader: HTTP2Peer) {
        sender.send(0, content)
        sender.session.end(0, trailers: nil)
        var expected = 0
        while expected < content.count {
            expected = min(content.count, expected + Self.window)
            pair.run()
            #expect(reader.messages[0]?.body.count == expected, "no more than the window")
            #expect(sender.session.queuedBytes(0) == content.count - expected)
            #expect(reader.messages[0]?.hasEnded == (expected == content.count))
            reader.session.consumeAll(0)
        }
        #expect(reader.messages[0]?.body == content)
    }

    @Test func aRequestsBodyStopsAtTheWindowAndGoesOnWhenItIsConsumed() throws {
        let pair = HTTP2Pair()
        pair.server.consumes = false
        try #require(pair.client.request(endsStream: false) == 0)
        carry(pair, from: pair.client, to: pair.server)
    }

    @Test func anAnswersBodyStopsAtTheWindowAndGoesOnWhenItIsConsumed() throws {
        let pair = HTTP2Pair()
        pair.client.consumes = false
        pair.client.frees = false
        try #require(pair.client.request() == 0)
        pair.run()
        pair.server.frees = false
        pair.server.answer(0, endsStream: false)
        carry(pair, from: pair.server, to: pair.client)
    }

    @Test func aStreamThatIsNotReadDoesNotStopItsNeighbours() throws {
        let pair = HTTP2Pair()
        pair.server.consumes = false
        for slot in 0..<3 {
            try #require(pair.client.request(endsStream: false) == slot)
            pair.client.send(slot, content)
        }
        pair.run()
        #expect((0..<3).map { pair.server.messages[$0]?.body.count } == [Self.window, Self.window, Self.window])
        pair.server.session.consumeAll(1)
        pair.run()
        #expect((0..<3).map { pair.server.messages[$0]?.body.count } == [Self.window, 2 * Self.window, Self.window])
    }

    /// Else a client that cancels its streams would shut the connection's window for good.
    @Test func unreadBytesOfAClosedStreamAreGivenBackToTheConnection() throws {
        let pair = HTTP2Pair()
        pair.server.consumes = false
        // More in all than the connection's window of 100 streams' worth.
        for round in 0..<150 {
            let slot = try #require(pair.client.request(endsStream: false))
            pair.client.send(slot, content)
            pair.run()
            #expect(pair.server.messages[0]?.body.count == Self.window, "round \(round)")
            pair.client.session.reset(slot, HTTP2ErrorCode.cancel)
            pair.run()
        }
    }

    @Test func outputStopsAfterTheFrameThatPassesItsLimit() throws {
        let pair = HTTP2Pair()
        try #require(pair.client.request(endsStream: false) == 0)
        pair.run()
        pair.client.send(0, Array(content[..<50_000]))
        pair.client.outputLimit = 1
        var sizes: [Int] = []
        while case let frames = HTTP2Frame.all(in: pair.client.say()), !frames.isEmpty {
            #expect(frames.count == 1)
            sizes.append(frames[0].payload.count)
        }
        #expect(sizes == [16_384, 16_384, 16_384, 848])
        #expect(pair.client.session.queuedBytes(0) == 0)
    }

    @Test func streamsWhoseBodiesHaveMovedAreTold() throws {
        let pair = HTTP2Pair()
        for slot in 0..<3 { try #require(pair.client.request(endsStream: false) == slot) }
        pair.run()
        var drained: [HTTP2Slot] = []
        pair.client.session.takeDrained(into: &drained)
        #expect(drained.isEmpty)
        pair.client.send(2, [1, 2, 3])
        pair.run()
        pair.client.session.takeDrained(into: &drained)
        #expect(drained == [2])
        pair.client.session.takeDrained(into: &drained)
        #expect(drained.isEmpty)
    }
}
