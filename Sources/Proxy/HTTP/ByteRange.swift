/// A piece of the buffer that a head was parsed from, by offset: half the size of a `Range<Int>`, and no reference.
struct ByteRange: Equatable {
    var start: UInt32
    var count: UInt32

    static let empty = ByteRange(0..<0)

    init(_ range: Range<Int>) {
        start = UInt32(truncatingIfNeeded: range.lowerBound)
        count = UInt32(truncatingIfNeeded: range.count)
    }

    var range: Range<Int> { Int(start)..<Int(start) + Int(count) }
    var isEmpty: Bool { count == 0 }
}
