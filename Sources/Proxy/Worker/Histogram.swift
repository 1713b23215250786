/// Durations by size: a count for each bucket, and their sum.
package struct Histogram: Sendable {
    /// Upper bounds in microseconds, as Prometheus clients have them for seconds; one bucket more has no bound.
    static let bounds: [15 of Int64] = [
        1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000, 5_000_000,
        10_000_000, 30_000_000, 60_000_000,
    ]

    /// Not cumulative: the text format's sums are made when it is asked for.
    private(set) var buckets: [16 of UInt64] = .init(repeating: 0)
    private(set) var microseconds: UInt64 = 0

    package init() {}

    var count: UInt64 { buckets.indices.reduce(0) { $0 + buckets[$1] } }

    package mutating func record(_ duration: Int64) {
        var bucket = 0
        while bucket < Histogram.bounds.count, duration > Histogram.bounds[bucket] { bucket += 1 }
        buckets[bucket] += 1
        microseconds += UInt64(max(0, duration))
    }

    mutating func add(_ other: Histogram) {
        for index in buckets.indices { buckets[index] += other.buckets[index] }
        microseconds += other.microseconds
    }
}
