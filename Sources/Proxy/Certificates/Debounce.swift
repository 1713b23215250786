/// When to look after a burst of changes: a little after the last of them, and not too long after the first.
///
/// Times are microseconds of any clock that does not go back.
struct Debounce {
    /// An update of several files is over when nothing has come for so long.
    static let quietMicroseconds: Int64 = 100_000
    /// A directory that never rests is looked at all the same.
    static let longestMicroseconds: Int64 = 500_000

    private var first: Int64?
    /// When to look; nil when nothing has changed.
    private(set) var due: Int64?

    mutating func changed(at now: Int64) {
        let first = first ?? now
        self.first = first
        due = min(now + Debounce.quietMicroseconds, first + Debounce.longestMicroseconds)
    }

    /// Whether it is time; if so, what has changed so far is seen to.
    mutating func isDue(at now: Int64) -> Bool {
        guard let due, due <= now else { return false }
        self = Debounce()
        return true
    }
}
