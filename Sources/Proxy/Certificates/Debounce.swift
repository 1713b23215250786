/// When to look after a burst of changes: a little after the last of them, and not too long after the first.
///
/// Times are microseconds of any clock that does not go back.
struct Debounce {
    /// An update of several files is over when nothing has come for so long.
    static let quietMicroseconds: Int64 = 100_000
    /// A directory that never rests is looked at all the same.
    static let longestMicroseconds: Int64 = 500_000
    /// A writer that keeps its file open is believed to be done when it has rested so long, and looked at when it never does:
    /// half of a file is an error in the log.
    static let writerQuietMicroseconds: Int64 = 1_000_000
    static let writerLongestMicroseconds: Int64 = 5_000_000

    /// The latest time to look.
    private var limit = Int64.max
    /// When to look; nil when nothing has changed.
    private(set) var due: Int64?

    /// A file is there, gone, or whole.
    mutating func changed(at now: Int64) {
        limit = min(limit, now + Debounce.longestMicroseconds)
        due = min(now + Debounce.quietMicroseconds, limit)
    }

    /// A writer is at work; if it closes its file, that is another change.
    mutating func written(at now: Int64) {
        limit = min(limit, now + Debounce.writerLongestMicroseconds)
        due = min(now + Debounce.writerQuietMicroseconds, limit)
    }

    /// Whether it is time; if so, what has changed so far is seen to.
    mutating func isDue(at now: Int64) -> Bool {
        guard let due, due <= now else { return false }
        self = Debounce()
        return true
    }
}
