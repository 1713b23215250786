import Testing

@testable import Proxy

@Suite struct TimerWheelTests {
    private func taken(_ wheel: inout TimerWheel, upTo tick: Int64) -> [UInt64] {
        var tokens: [UInt64] = []
        while let entry = wheel.next(upTo: tick) { tokens.append(entry.token) }
        return tokens
    }

    @Test func handsOutEachTokenAtItsTickInOrder() {
        var wheel = TimerWheel(startingAt: 1_000_000)
        for (token, tick) in [(1, 5), (2, 3), (3, 900), (4, 64)] as [(UInt64, Int64)] {
            #expect(wheel.insert(token, at: 1_000_000 + tick) == 1_000_000 + tick)
        }
        #expect(wheel.earliestTick == 1_000_003)
        #expect(taken(&wheel, upTo: 1_000_002).isEmpty)
        #expect(taken(&wheel, upTo: 1_000_064) == [2, 1, 4])
        #expect(wheel.earliestTick == 1_000_900)
        #expect(taken(&wheel, upTo: 1_002_000) == [3])
        #expect(wheel.earliestTick == nil)
    }

    @Test func beyondTheSpanATokenComesUpEarlier() {
        var wheel = TimerWheel(startingAt: 10)
        #expect(wheel.insert(7, at: 10 + 5 * TimerWheel.span) == 10 + TimerWheel.span - 1)
        #expect(wheel.earliestTick == 10 + TimerWheel.span - 1)
    }

    @Test func aTickInThePastIsDueAtOnce() {
        var wheel = TimerWheel(startingAt: 100)
        #expect(taken(&wheel, upTo: 150).isEmpty)
        #expect(wheel.insert(1, at: 3) == 150)
        #expect(taken(&wheel, upTo: 150) == [1])
    }

    @Test func agreesWithASortedListUnderRandomUse() {
        var wheel = TimerWheel(startingAt: 0)
        var pending: [(tick: Int64, token: UInt64)] = []
        var random = SystemRandomNumberGenerator()
        var now: Int64 = 0
        for token in 0..<20_000 as Range<UInt64> {
            let tick = wheel.insert(token, at: now + Int64.random(in: 0..<900, using: &random))
            pending.append((tick, token))
            guard token % 5 == 0 else { continue }
            now += Int64.random(in: 0..<40, using: &random)
            let due = Set(pending.filter { $0.tick <= now }.map(\.token))
            pending.removeAll { $0.tick <= now }
            #expect(Set(taken(&wheel, upTo: now)) == due)
            #expect(wheel.earliestTick == pending.map(\.tick).min())
        }
    }
}
