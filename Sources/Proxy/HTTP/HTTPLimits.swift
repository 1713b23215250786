/// Bounds of a message's framing. Bodies have none: they stream.
struct HTTPLimits: Equatable {
    /// Start line and fields together; MAX_HEADER_BYTES.
    var maxHeadBytes = 32_768
    /// Longest request target; longer ones are 414 (RFC 9110 section 15.5.15 leaves the bound open, 8000 is the least).
    var maxTargetBytes = 16_384
    /// Field lines in one section: beyond what any client sends, and a bound for the work on `Connection` names.
    var maxFields = 256
    /// Field names that `Connection` may list.
    static let maxConnectionNames = 32
    /// A chunk's size line with its extensions, which nobody uses.
    static let maxChunkLineBytes = 1_024
    static let maxTrailerBytes = 8_192
    static let maxTrailerFields = 64
    static let maxMethodBytes = 32
}
