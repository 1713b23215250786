/// A hashed timing wheel: tokens filed under the tick at which someone should look at them.
///
/// It keeps no promise about a token's deadline, only that it is handed out at its tick; whoever takes it decides
/// whether it is due, stale or to be filed again. So a deadline that moves later needs no work here at all.
struct TimerWheel {
    struct Entry: Equatable {
        let token: UInt64
        let tick: Int64
    }

    /// Ticks the wheel spans; a token filed beyond comes up at the end of the span.
    static let span: Int64 = 1024

    private var buckets = [[Entry]](repeating: [], count: Int(span))
    /// A bit per bucket that holds something.
    private var occupied = [UInt64](repeating: 0, count: Int(span) / 64)
    /// The next tick to hand out.
    private var hand: Int64
    private(set) var count = 0

    init(startingAt tick: Int64) { hand = tick }

    /// Files a token; answers the tick it will come up at, which is earlier when the tick lies beyond the span.
    mutating func insert(_ token: UInt64, at tick: Int64) -> Int64 {
        let tick = min(max(tick, hand), hand + TimerWheel.span - 1)
        let bucket = Int(tick % TimerWheel.span)
        buckets[bucket].append(Entry(token: token, tick: tick))
        occupied[bucket / 64] |= 1 << (bucket % 64)
        count += 1
        return tick
    }

    /// Takes one entry whose tick has come, nil when there is none up to `tick`.
    mutating func next(upTo tick: Int64) -> Entry? {
        guard count > 0 else {
            hand = max(hand, tick)
            return nil
        }
        while let earliest = earliestTick, earliest <= tick {
            hand = earliest
            let bucket = Int(earliest % TimerWheel.span)
            let entry = buckets[bucket].removeLast()
            count -= 1
            if buckets[bucket].isEmpty {
                // A burst's storage is not kept: idle connections are many, their timers are not to cost memory.
                if buckets[bucket].capacity > 64 { buckets[bucket] = [] }
                occupied[bucket / 64] &= ~(1 << (bucket % 64))
            }
            return entry
        }
        hand = max(hand, tick)
        return nil
    }

    /// The tick of the next entry.
    var earliestTick: Int64? {
        guard count > 0 else { return nil }
        let start = Int(hand % TimerWheel.span)
        let words = occupied.count
        for step in 0...words {
            let word = (start / 64 + step) % words
            var bits = occupied[word]
            if step == 0 { bits &= ~0 << (start % 64) }
            if step == words { bits &= ~(~0 << (start % 64)) }
            guard bits != 0 else { continue }
            let bucket = word * 64 + bits.trailingZeroBitCount
            return hand + Int64((bucket - start + Int(TimerWheel.span)) % Int(TimerWheel.span))
        }
        return nil
    }
}
