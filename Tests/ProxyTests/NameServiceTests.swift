import Addressing
import Synchronization
import Testing

@testable import Proxy

@Suite struct NameServiceTests {
    private struct Reply: Equatable, Sendable {
        let name: String
        let addresses: [IPAddress]
    }

    /// Runs a reactor until `count` replies have come to its mailbox.
    private func replies(_ count: Int, from service: NameService, _ names: [String]) throws -> [Reply] {
        let reactor = try Reactor()
        let mailbox = try Mailbox<Reply>()
        var received: [Reply] = []
        let reader = try MailboxReader(mailbox, in: reactor) { reply in
            received.append(reply)
            if received.count == count { reactor.stop() }
        }
        for name in names {
            service.ask(name) { mailbox.send(Reply(name: name, addresses: $0)) }
        }
        reactor.run()
        _ = reader
        return received
    }

    @Test func everyQuestionIsAnswered() throws {
        let service = try NameService { $0 == "web" ? [.loopbackV4] : [] }
        let names = (0..<100).map { $0 % 2 == 0 ? "web" : "none\($0)" }
        let received = try replies(100, from: service, names)
        #expect(received.count { $0 == Reply(name: "web", addresses: [.loopbackV4]) } == 50)
        #expect(received.count { $0.addresses.isEmpty } == 50)
    }

    @Test func aSilentServerHoldsOneThreadNotAll() throws {
        let gate = Mutex(())
        try gate.withLock { _ in
            let service = try NameService { name in
                if name == "silent" { gate.withLock { _ in } }
                return [.loopbackV4]
            }
            let received = try replies(20, from: service, ["silent"] + (0..<20).map { "web\($0)" })
            #expect(!received.contains { $0.name == "silent" })
        }
    }

    @Test func questionsBeyondTheLimitAreRefusedAtOnce() throws {
        let gate = Mutex(())
        let beyond = 10
        try gate.withLock { _ in
            let service = try NameService { _ in
                gate.withLock { _ in }
                return [.loopbackV4]
            }
            let names = (0..<NameService.maximumQuestions + beyond).map { "web\($0)" }
            let received = try replies(beyond, from: service, names)
            #expect(received.map(\.name) == Array(names.suffix(beyond)))
            #expect(received.allSatisfy { $0.addresses.isEmpty })
        }
    }

    @Test func localhostAndAddressesNeedNoResolver() {
        #expect(Resolver.fixed("localhost") == [.loopbackV4, .loopbackV6])
        #expect(Resolver.fixed("::1") == [.loopbackV6])
        #expect(Resolver.fixed("web") == nil)
    }
}
