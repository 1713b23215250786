import CLinux
import Testing

@testable import Proxy

/// A reactor with real descriptors: eventfds signalled by the test.
@Suite struct ReactorTests {
    private final class Probe: EventHandler {
        let descriptor: Descriptor
        var readiness: [Readiness] = []
        var deadlines = 0
        var onReady: (() -> Void)?
        var onDeadline: (() -> Void)?

        init(in reactor: Reactor) throws {
            descriptor = Descriptor(owning: linux_eventfd())
            super.init()
            try reactor.register(self, descriptor.raw, .readable)
        }

        func signal() { _ = linux_eventfd_signal(descriptor.raw) }

        override func ready(_ readiness: Readiness) {
            self.readiness.append(readiness)
            _ = linux_eventfd_clear(descriptor.raw)
            onReady?()
        }

        override func deadlineReached() {
            deadlines += 1
            onDeadline?()
        }
    }

    @Test func anEventOfASeatFreedInTheSameBatchFindsNobody() throws {
        let reactor = try Reactor()
        let first = try Probe(in: reactor)
        let second = try Probe(in: reactor)
        // Both are ready in one batch; whoever comes first takes the other's seat away and fills it anew.
        var third: Probe?
        for (probe, other) in [(first, second), (second, first)] {
            probe.onReady = {
                guard other.isRegistered else { return }
                reactor.deregister(other, other.descriptor.raw)
                third = try? Probe(in: reactor)
                reactor.stop()
            }
        }
        first.signal()
        second.signal()
        reactor.run()
        #expect(first.readiness.count + second.readiness.count == 1)
        #expect(third?.readiness.isEmpty == true)
    }

    @Test func aDeadlineIsNeverEarlyAndMovesLaterForFree() throws {
        let reactor = try Reactor()
        let probe = try Probe(in: reactor)
        let start = linux_monotonic_microseconds()
        reactor.setDeadline(probe, after: 20_000)
        reactor.setDeadline(probe, after: 120_000)
        probe.onDeadline = { reactor.stop() }
        reactor.run()
        #expect(probe.deadlines == 1)
        #expect(linux_monotonic_microseconds() - start >= 120_000)
    }

    @Test func aDeadlineMovedEarlierComesEarlier() throws {
        let reactor = try Reactor()
        let probe = try Probe(in: reactor)
        reactor.setDeadline(probe, after: 600_000_000)
        reactor.setDeadline(probe, after: 10_000)
        probe.onDeadline = { reactor.stop() }
        reactor.run()
        #expect(probe.deadlines == 1)
    }

    @Test func aClearedDeadlineDoesNotCome() throws {
        let reactor = try Reactor()
        let cleared = try Probe(in: reactor)
        let other = try Probe(in: reactor)
        reactor.setDeadline(cleared, after: 1_000)
        reactor.clearDeadline(cleared)
        reactor.setDeadline(other, after: 150_000)
        other.onDeadline = { reactor.stop() }
        reactor.run()
        #expect(cleared.deadlines == 0)
    }

    @Test func deferredWorkRunsOnceAfterTheBatch() throws {
        let reactor = try Reactor()
        let probe = try Probe(in: reactor)
        reactor.later(probe)
        reactor.later(probe)
        probe.onReady = { reactor.stop() }
        reactor.run()
        #expect(probe.readiness == [.readable])
    }

    @Test func messagesOfOtherThreadsArriveInOrder() throws {
        let reactor = try Reactor()
        let mailbox = try Mailbox<Int>()
        var received: [Int] = []
        let reader = try MailboxReader(mailbox, in: reactor) { message in
            received.append(message)
            if message == 999 { reactor.stop() }
        }
        let sender = try Thread("sender") { for number in 0..<1_000 { mailbox.send(number) } }
        reactor.run()
        sender.join()
        #expect(received == Array(0..<1_000))
        _ = reader
    }
}
