import Testing

@testable import Proxy

@Suite struct PollInterestTests {
    @Test func epollHearsOnlyOfChanges() {
        var interest = PollInterest(.readable)
        #expect(interest.change(to: .readable) == .none)
        #expect(interest.change(to: [.readable, .writable]) == .modify)
        interest.changed(to: [.readable, .writable])
        #expect(interest.change(to: [.readable, .writable]) == .none)
        #expect(interest.change(to: []) == .modify)
    }

    @Test func aMutedDescriptorIsAddedAgainOnlyForAnEvent() {
        var interest = PollInterest(.readable)
        interest.muted()
        #expect(interest.change(to: []) == .none)
        #expect(interest.change(to: .readable) == .unmute)
        interest.changed(to: .readable)
        #expect(interest.isPolled)
        #expect(interest.change(to: .readable) == .none)
    }
}
