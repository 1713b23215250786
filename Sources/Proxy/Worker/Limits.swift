/// The bounds of the data plane that are not configuration, each with its reason.
enum Limits {
    /// A worker's read buffer: from a plain socket 64 KiB come in one read with the head before them. TLS gives one
    /// record at a time, of 16 KiB at most.
    static let inboxBytes = 81_920
    /// A worker's write buffer at first: most heads; it grows to what a turn writes.
    static let writerBytes = 16_384
    /// Bytes waiting at a target from which on its source is no longer read: memory per direction stays near this
    /// plus one inbox, whatever the body size.
    static let queuedBytes = 65_536
    /// Head and body go out together up to this size: one TLS record (RFC 8446 section 5.1).
    static let recordBytes = 16_384
    /// A request up to this size is kept until its answer begins, to be sent again when a pooled connection
    /// turns out to be dead.
    static let replayBytes = 16_384
    /// What is kept of the body of a request that waits for its upstream's protocol to be known: more than one read or
    /// an HTTP/2 stream's window lets in before the client is made to wait.
    static let waitingBodyBytes = 2 * inboxBytes
    /// HTTP/2 frames that go out in one write.
    static let flushBytes = 65_536
    /// An answer's head may be larger than a request's: cookies are set here.
    static let answerHeadBytes = 65_536
    /// Answers of 1xx to one request, and bytes of their heads. HTTP/2 has no window for them, so a client that does not
    /// read would have all of them kept: an upstream that says every 20 seconds that it is at work may do so for an hour.
    static let interimAnswers = 256
    static let interimBytes = 65_536
    /// In what time so many useless HTTP/2 frames as a session bears are a flood.
    static let floodMicroseconds: Int64 = 1_000_000
    /// How long an HTTP/2 client that broke the protocol or flooded waits to hear of it.
    static let penaltyMicroseconds: Int64 = 250_000
    /// Streams that run on one HTTP/2 connection to an upstream at a time, if it takes as many.
    static let streamsPerUpstream = 100
    /// How long a server that selected HTTP/1.1 is not asked for HTTP/2 again.
    static let protocolMemoryMicroseconds: Int64 = 60_000_000
    /// How often a request is sent again that an upstream says it has not looked at.
    static let refusalsPerRequest = 3
    /// Idle upstream connections kept per destination and worker.
    static let idlePerPool = 256
    /// Destinations a worker remembers; beyond it, those without connections are forgotten.
    static let pools = 4_096
    /// How long a silent client is waited for before the server is given the chance to speak first.
    static let silenceMicroseconds: Int64 = 200_000
    /// How long it is waited for again when that server wants no TLS of ours: a client may be slow with its own.
    static let secondSilenceMicroseconds: Int64 = 2_000_000
    /// A burst of handshakes this large has its memory given back, when none has come for a second.
    static let handshakesPerTrim = 32
    static let trimMicroseconds: Int64 = 1_000_000
    /// How often a connection that is to end for idleness is looked at, while its peer does not take the goodbye.
    static let idleCheckMicroseconds: Int64 = 1_000_000
    /// How long an idle connection may still send a request after a drain began.
    static let drainGraceMicroseconds: Int64 = 500_000
    /// How long a connection that has asked nothing yet may take for its handshake after a drain began, and then for the
    /// head of its request: more than an honest client far away needs, less than an operator waits for.
    static let drainOpeningMicroseconds: Int64 = 1_500_000
}
