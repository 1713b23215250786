import Testing

@testable import Proxy

/// A burst of changes is looked at once: soon after its end, and not too late when it has none.
struct DebounceTests {
    private let quiet = Debounce.quietMicroseconds
    private let longest = Debounce.longestMicroseconds

    @Test func nothingIsDueWithoutAChange() {
        var debounce = Debounce()
        #expect(debounce.due == nil)
        let isDue = debounce.isDue(at: .max)
        #expect(!isDue)
    }

    @Test func oneChangeIsDueAfterTheQuietTime() {
        var debounce = Debounce()
        debounce.changed(at: 1_000)
        #expect(debounce.due == 1_000 + quiet)
        let (early, late) = (debounce.isDue(at: 999 + quiet), debounce.isDue(at: 1_000 + quiet))
        #expect(!early && late)
    }

    @Test func eachChangePutsItOff() {
        var debounce = Debounce()
        debounce.changed(at: 0)
        debounce.changed(at: 60_000)
        #expect(debounce.due == 60_000 + quiet)
    }

    @Test func aDirectoryThatNeverRestsIsLookedAtAllTheSame() {
        var debounce = Debounce()
        for now in stride(from: 0, through: longest * 2, by: 10_000) { debounce.changed(at: now) }
        #expect(debounce.due == longest)
    }

    @Test func onceSeenToTheNextBurstCountsFromItsOwnBeginning() {
        var debounce = Debounce()
        debounce.changed(at: 0)
        let isDue = debounce.isDue(at: longest)
        #expect(isDue && debounce.due == nil)
        debounce.changed(at: longest * 3)
        #expect(debounce.due == longest * 3 + quiet)
    }
}
