/// What a peer may use at a time. All of it is memory that it can make the proxy hold.
enum HTTP2Bounds {
    /// Streams of one connection: what RFC 9113 section 6.5.2 recommends at least.
    static let concurrentStreams: UInt32 = 100
    /// Unread bytes of one stream.
    static let streamWindow: UInt32 = 65_536
    /// Unread bytes of one connection: what all its streams may hold, so that slow ones do not stop the others.
    static let connectionWindow = Int32(concurrentStreams * streamWindow)
    /// Frames without any use before the peer is taken for a flood: empty DATA, PRIORITY, PING, SETTINGS. They are
    /// counted from the last that was of use, sent or received, or from when `forgive` was called.
    static let uselessFrames = 1_000
    /// Frames that wait to be sent, bodies not counted. A peer that does not read can make one with each of its own.
    static let queuedFrames = 10_000
    /// Sent bytes that a body's buffer may still hold.
    static let deadBytes = 65_536
}
