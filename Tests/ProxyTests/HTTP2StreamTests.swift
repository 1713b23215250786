import Testing

@testable import Proxy

/// How streams and connections begin and end, and what a peer may not do too often.
@Suite struct HTTP2StreamTests {
    @Test(arguments: [1, 2, 5, 7, 8, 11] as [UInt32])
    func aResetReachesTheOtherSideWithItsCode(_ code: UInt32) throws {
        let pair = HTTP2Pair()
        let first = try #require(pair.client.request(endsStream: false))
        pair.run()
        pair.client.session.reset(first, code)
        pair.run()
        #expect(pair.server.messages[0]?.code == code)
        #expect(pair.client.messages[first]?.code == code)

        let second = try #require(pair.client.request(endsStream: false))
        pair.run()
        pair.server.session.reset(0, code)
        pair.run()
        #expect(pair.client.messages[second]?.code == code)
        #expect(pair.client.session.activeStreams == 0)
        #expect(pair.server.session.activeStreams == 0)
    }

    @Test func anEarlyAnswerTellsThePeerToStopWithoutAnError() throws {
        let pair = HTTP2Pair()
        pair.server.consumes = false
        let slot = try #require(pair.client.request(endsStream: false))
        pair.client.send(slot, [UInt8](repeating: 0, count: 200_000))
        pair.run()
        pair.server.answer(0, "413")
        pair.server.session.stopPeerAfterEnd(0)
        pair.run()
        let message = try #require(pair.client.messages[slot])
        #expect(message.heads == ["HTTP/1.1 413 \r\n\r\n"])
        #expect(message.hasEnded)
        #expect(message.code == HTTP2ErrorCode.none)
        #expect(pair.server.session.activeStreams == 0)
    }

    @Test func aSlotIsUsedAgainOnlyWhenItWasFreed() throws {
        let pair = HTTP2Pair()
        #expect(pair.client.request() == 0)
        #expect(pair.client.request() == 1)
        pair.run()
        #expect(pair.client.session.activeStreams == 2)
        pair.client.frees = false
        pair.server.answer(0)
        pair.run()
        #expect(pair.client.messages[0]?.code == 0)
        #expect(pair.client.request() == 2, "0 is still in use")
        pair.client.session.free(0)
        pair.client.session.free(0)
        #expect(pair.client.session.activeStreams == 2)
        #expect(pair.client.request() == 0)
        #expect(pair.client.request() == 3, "freeing twice gives one slot")
        pair.run()
        // What the slot held before is gone.
        #expect(pair.client.session.queuedBytes(0) == 0)
        #expect(pair.server.messages[0]?.heads.count == 1)
    }

    @Test func streamsAboveTheLimitWaitForOthersToEnd() throws {
        let pair = HTTP2Pair()
        let limit = Int(HTTP2Bounds.concurrentStreams)
        #expect(pair.client.session.peerConcurrentStreams == limit)
        for _ in 0..<limit + 20 { try #require(pair.client.request() != nil) }
        pair.run()
        #expect(pair.server.messages.count == limit)
        #expect(pair.server.session.activeStreams == limit)
        for slot in 0..<20 { pair.server.answer(slot) }
        pair.run()
        #expect(pair.server.session.activeStreams == limit)
        #expect(pair.client.session.activeStreams == limit)
        #expect(pair.client.messages.values.count { $0.code == 0 } == 20)
    }

    @Test func afterAGoodbyeRunningStreamsEndAndNoneBegins() throws {
        let pair = HTTP2Pair()
        let slot = try #require(pair.client.request())
        pair.run()
        #expect(pair.client.session.takesRequests)
        pair.server.session.announceEnd()
        pair.server.session.refuseNewStreams()
        pair.run()
        #expect(pair.client.goodbyes > 0)
        #expect(!pair.client.session.takesRequests)
        let late = try #require(pair.client.request())
        pair.server.answer(0)
        pair.run()
        #expect(pair.client.messages[late]?.code == HTTP2ErrorCode.refusedStream)
        #expect(pair.server.messages.count == 1)
        #expect(pair.client.messages[slot]?.heads == ["HTTP/1.1 200 \r\n\r\n"])
        #expect(pair.client.messages[slot]?.code == 0)
    }

    @Test func aStreamThatTheGoodbyeLeavesOutIsRefused() throws {
        let pair = HTTP2Pair()
        let slot = try #require(pair.client.request())
        let asked = pair.client.sayAll()
        pair.server.session.refuseNewStreams()
        pair.client.hear(pair.server.sayAll())
        pair.server.hear(asked)
        #expect(pair.server.messages.isEmpty)
        #expect(pair.client.messages[slot]?.code == HTTP2ErrorCode.refusedStream)
    }

    @Test(arguments: [.client, .server] as [HTTP2Session.Role])
    func aTerminatedSessionIsOverWhenItsGoodbyeIsSent(_ role: HTTP2Session.Role) {
        let pair = HTTP2Pair()
        let (mine, other) = role == .client ? (pair.client, pair.server) : (pair.server, pair.client)
        #expect(!mine.session.isOver)
        mine.session.terminate(HTTP2ErrorCode.internalError)
        #expect(mine.session.isEnded)
        #expect(mine.session.wantsToWrite)
        #expect(!mine.session.isOver)
        let bytes = mine.sayAll()
        #expect(HTTP2Frame.all(in: bytes).compactMap(\.code) == [HTTP2ErrorCode.internalError])
        #expect(mine.session.isOver)
        other.hear(bytes)
        #expect(other.goodbyes == 1)
        #expect(!mine.session.takesRequests)
    }

    @Test func aPingIsAnswered() {
        let pair = HTTP2Pair()
        pair.client.session.ping()
        pair.server.hear(pair.client.sayAll())
        let frames = HTTP2Frame.all(in: pair.server.sayAll())
        #expect(frames == [HTTP2Frame(type: HTTP2Frame.ping, flags: 1, payload: [UInt8](repeating: 0, count: 8))])
    }

    // MARK: floods

    static let useless: [HTTP2Frame] = [
        HTTP2Frame(type: HTTP2Frame.data, stream: 1),
        HTTP2Frame(type: HTTP2Frame.priority, stream: 3, payload: [0, 0, 0, 0, 16]),
        HTTP2Frame(type: HTTP2Frame.settings),
        HTTP2Frame(type: HTTP2Frame.ping, payload: [UInt8](repeating: 7, count: 8)),
    ]

    @Test(arguments: useless) func uselessFramesInARowEndTheSession(_ frame: HTTP2Frame) throws {
        let pair = HTTP2Pair()
        try #require(pair.client.request(endsStream: false) == 0)
        pair.run()
        for count in 1...HTTP2Bounds.uselessFrames {
            pair.server.hear(frame.bytes)
            try #require(pair.server.isSound, "\(count) are borne")
            _ = pair.server.sayAll()
        }
        pair.server.hear(frame.bytes)
        #expect(!pair.server.isSound)
        #expect(pair.server.session.isEnded)
        #expect(HTTP2Frame.all(in: pair.server.sayAll()).compactMap(\.code) == [HTTP2ErrorCode.enhanceYourCalm])
    }

    @Test(arguments: useless) func usefulFramesBetweenUselessOnesKeepTheSession(_ frame: HTTP2Frame) throws {
        let pair = HTTP2Pair()
        try #require(pair.client.request(endsStream: false) == 0)
        pair.run()
        let useful = HTTP2Frame(type: HTTP2Frame.data, stream: 1, payload: [1])
        for count in 1...3 * HTTP2Bounds.uselessFrames {
            pair.server.hear(frame.bytes)
            if count % 900 == 0 { pair.server.hear(useful.bytes) }
            try #require(pair.server.isSound, "after \(count)")
            _ = pair.server.sayAll()
        }
    }

    @Test func questionsWhoseAnswersAreNotReadEndTheSession() {
        let pair = HTTP2Pair()
        let ping = HTTP2Frame(type: HTTP2Frame.ping, payload: [UInt8](repeating: 7, count: 8))
        pair.server.hear(Array(repeatElement(ping.bytes, count: 300).joined()))
        #expect(!pair.server.isSound)
        #expect(HTTP2Frame.all(in: pair.server.sayAll()).compactMap(\.code) == [HTTP2ErrorCode.enhanceYourCalm])
    }
}
