import Testing

@testable import Proxy

/// Bytes, back-pressure and the ways a connection ends.
struct TLSDataTests {
    private func open(_ version: TLSVersion = .v1_3) throws -> TLSLink {
        let link = try TLSScene().link(version)
        guard link.handshake() == (.done, .done) else { throw TestFailure("no handshake") }
        return link
    }

    @Test(arguments: [TLSVersion.v1_2, .v1_3])
    func bytesArriveInBothDirections(_ version: TLSVersion) throws {
        let link = try open(version)
        #expect(link.write(Array("ping".utf8), from: .client).byteCount == 4)
        #expect(link.read(at: .server).bytes == Array("ping".utf8))
        #expect(link.write(Array("pong!".utf8), from: .server).byteCount == 5)
        #expect(link.read(at: .client).bytes == Array("pong!".utf8))
        guard case .wantsRead = link.read(at: .client).outcome else {
            Issue.record("an idle session wants to read")
            return
        }
    }

    /// The writer keeps what did not fit, moves it, and offers it again with more behind it.
    @Test func aFullSocketTakesPartAndTheRestLater() throws {
        let link = try open()
        let message = (0..<800_000).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ $0 >> 8) }
        var sent = 0
        var received: [UInt8] = []
        var blockedTimes = 0
        while received.count < message.count {
            // A copy in another place each time, as a buffer that grew.
            let rest = Array(message[sent...])
            if !rest.isEmpty {
                switch link.write(rest, from: .server) {
                case .bytes(let count): sent += count
                case .wantsWrite: blockedTimes += 1
                case let outcome: throw TestFailure("unexpected \(outcome)")
                }
            }
            guard rest.isEmpty || blockedTimes > 0 else { continue }
            received += link.read(at: .client).bytes
        }
        #expect(blockedTimes > 0)
        #expect(received == message)
    }

    @Test func whatASmallReadLeavesIsAnnouncedAsPending() throws {
        let link = try open()
        _ = link.write(Array("abcdef".utf8), from: .client)
        #expect(!link.hasPending(.server))
        #expect(link.read(at: .server, atMost: 4).bytes == Array("abcd".utf8))
        #expect(link.hasPending(.server))
        #expect(link.read(at: .server, atMost: 4).bytes == Array("ef".utf8))
        #expect(!link.hasPending(.server))
    }

    @Test func severalRecordsComeInWithOneSystemCall() throws {
        let link = try open()
        for text in ["one", "two", "three"] { _ = link.write(Array(text.utf8), from: .client) }
        #expect(link.read(at: .server).bytes == Array("one".utf8))
        #expect(link.hasPending(.server))
        #expect(link.read(at: .server).bytes == Array("two".utf8))
        #expect(link.read(at: .server).bytes == Array("three".utf8))
    }

    @Test func closeNotifyIsAnEndAndTheOtherDirectionGoesOn() throws {
        let link = try open()
        link.sendCloseNotify(from: .client)
        link.sendCloseNotify(from: .client)
        guard case .end = link.read(at: .server).outcome else {
            Issue.record("no end")
            return
        }
        #expect(link.write(Array("late".utf8), from: .server).byteCount == 4)
        #expect(link.read(at: .client).bytes == Array("late".utf8))
    }

    /// Whoever can cut a connection must not be able to make it look complete.
    @Test func anEndWithoutCloseNotifyIsTruncation() throws {
        let link = try open()
        // The ticket; left unread, the kernel would reset the connection instead of ending it.
        _ = link.read(at: .client)
        link.cutClient()
        #expect(link.read(at: .server).outcome.failure?.reason == .truncated)
    }

    @Test func writingToAPeerThatIsGoneIsAReset() throws {
        let link = try open()
        link.cutClient()
        #expect(link.write([1], from: .server).failure?.reason == .reset)
    }

    @Test func aForgedRecordIsAViolation() throws {
        let link = try open()
        // Application data of 32 bytes that no key of this session made.
        link.forgeFromClient([0x17, 0x03, 0x03, 0x00, 0x20] + [UInt8](repeating: 0xaa, count: 32))
        #expect(link.read(at: .server).outcome.failure?.reason == .protocolViolation)
    }

    /// An error that something else left in OpenSSL's queue must not fail a healthy connection.
    @Test func aStaleErrorOfThisThreadIsNotBelieved() throws {
        let link = try open()
        let broken = PEM.certificates(Array("-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n".utf8))
        #expect(broken == nil)
        TLSLink.leaveStaleError()
        guard case .wantsRead = link.read(at: .server).outcome else {
            Issue.record("a stale error was believed")
            return
        }
    }
}

extension TLSSession.IOOutcome {
    fileprivate var byteCount: Int? {
        if case .bytes(let count) = self { return count }
        return nil
    }

    fileprivate var failure: TLSError? {
        if case .failed(let error) = self { return error }
        return nil
    }
}
