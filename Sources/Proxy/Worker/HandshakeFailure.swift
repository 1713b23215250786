import Addressing

/// A handshake that failed, for `/handshakes`.
struct HandshakeFailure: Sendable {
    /// Microseconds since the epoch.
    let time: Int64
    let side: TLSSide
    let direction: Direction
    let peer: Endpoint
    /// The name that the client asked for.
    let serverName: String?
    let offered: TLSVersionSet
    let reason: TLSError.Reason
    let detail: String
    let certificate: TLSError.Certificate?

    /// Reports a second and worker at most: a flood of bad handshakes is counted, not described.
    static let perSecond = 50
}

/// So many a second.
struct RateLimit {
    let perSecond: Int
    private var since = Int64.min
    private var used = 0

    init(perSecond: Int) { self.perSecond = perSecond }

    /// - Parameter now: microseconds of any clock that does not go back.
    mutating func admits(at now: Int64) -> Bool {
        if since == .min || now - since >= 1_000_000 {
            since = now
            used = 0
        }
        guard used < perSecond else { return false }
        used += 1
        return true
    }
}
