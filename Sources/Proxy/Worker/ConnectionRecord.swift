import Addressing

/// What the log will say about one connection: a relay's own line, and the part of a request's line that is the same
/// for all requests of its connection.
struct ConnectionRecord {
    var direction: Direction
    var downstream: Endpoint
    /// URI SAN, else DNS SAN, else subject of the peer's certificate; empty for none.
    var peerIdentity: [UInt8] = []
    var upstream: Endpoint?
    var startedAt: Int64
    var bytesReceived: UInt64 = 0
    var bytesSent: UInt64 = 0
    var flags: StaticString = "-"
    /// The application's port, when the client spoke without TLS and was let through.
    var plaintextPort: UInt16?
    /// Why it ended early, one sentence.
    var reason: String?

    init(_ direction: Direction, _ downstream: Endpoint, at now: Int64) {
        self.direction = direction
        self.downstream = downstream
        startedAt = now
    }

    /// The connection outward failed.
    mutating func note(_ error: ChannelError) {
        flags = UpstreamFailure.channel(error).flag
        reason = error.sentence
    }

    /// The client's own side failed, or ended before everything was said.
    mutating func noteClientLeft(_ sentence: String) {
        flags = "DC"
        reason = sentence
    }
}
