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

    @Test func aWriterAtWorkIsGivenLonger() {
        var debounce = Debounce()
        debounce.changed(at: 0)
        debounce.written(at: 10_000)
        #expect(debounce.due == longest, "but what has changed before it does not wait for it")
        debounce = Debounce()
        for now in stride(from: Int64(0), through: 300_000, by: 10_000) { debounce.written(at: now) }
        #expect(debounce.due == 300_000 + Debounce.writerQuietMicroseconds)
        debounce.changed(at: 400_000)
        #expect(debounce.due == 400_000 + quiet, "it has closed its file")
    }

    @Test func aWriterThatNeverRestsIsLookedAtNowAndThen() {
        var debounce = Debounce()
        for now in stride(from: Int64(0), through: 20_000_000, by: 10_000) { debounce.written(at: now) }
        #expect(debounce.due == Debounce.writerLongestMicroseconds)
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
