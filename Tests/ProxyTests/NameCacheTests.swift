import Addressing
import Testing

@testable import Proxy

@Suite struct NameCacheTests {
    private let address = IPAddress.loopbackV4

    @Test func onlyTheFirstWhoWaitsHasToAsk() {
        var cache = NameCache<Int>()
        let mustAsk = [cache.wait(for: "web", 1), cache.wait(for: "web", 2), cache.wait(for: "other", 3)]
        #expect(mustAsk == [true, false, true])
        let waiting = [cache.answered("web", [address], at: 0), cache.answered("web", [address], at: 0)]
        #expect(waiting == [[1, 2], []])
        let mustAskAgain = cache.wait(for: "web", 4)
        #expect(mustAskAgain)
    }

    @Test(arguments: [true, false])
    func anAnswerServesForItsTime(_ isGood: Bool) {
        var cache = NameCache<Int>()
        let addresses = isGood ? [address] : []
        #expect(cache.addresses(of: "web", at: 0) == nil)
        _ = cache.answered("web", addresses, at: 1_000)
        let end: Int64 = 1_000 + (isGood ? 30_000_000 : 1_000_000)
        #expect(cache.addresses(of: "web", at: end - 1) == addresses)
        #expect(cache.addresses(of: "web", at: end) == nil)
    }

    @Test func aNewAnswerTakesTheOldOnesPlace() {
        var cache = NameCache<Int>()
        _ = cache.answered("web", [address], at: 0)
        _ = cache.answered("web", [.loopbackV6], at: 1)
        #expect(cache.addresses(of: "web", at: 2) == [.loopbackV6])
    }

    @Test func namesAreBoundedAndTheExpiredGoFirst() {
        var cache = NameCache<Int>()
        let limit = NameCache<Int>.maximumNames
        for number in 0..<limit / 2 { _ = cache.answered("old\(number)", [], at: 0) }
        for number in 0..<limit / 2 { _ = cache.answered("fresh\(number)", [address], at: 0) }
        #expect(cache.count == limit)
        _ = cache.answered("one more", [address], at: 2_000_000)
        #expect(cache.count == limit / 2 + 1)
        #expect(cache.addresses(of: "fresh0", at: 2_000_000) == [address])
        for number in 0..<10 * limit {
            _ = cache.answered("flood\(number)", [address], at: 2_000_000)
            #expect(cache.count <= limit)
        }
    }
}
