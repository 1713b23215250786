/// What one worker has counted. Plain integers: each worker has its own, sums are made by whoever asks.
struct Counters: Sendable {
    var connectionsAccepted: UInt64 = 0
    var serverHandshakes: UInt64 = 0
    var serverHandshakesResumed: UInt64 = 0
    var serverHandshakeFailures: UInt64 = 0
    var clientHandshakes: UInt64 = 0
    var clientHandshakesResumed: UInt64 = 0
    var requests: UInt64 = 0
    var upstreamFailures: UInt64 = 0
    var retries: UInt64 = 0
    var plaintextRefused: UInt64 = 0
    var plaintextAllowed: UInt64 = 0
    /// HTTP/2 connections ended because the peer broke the protocol or flooded.
    var http2Violations: UInt64 = 0
    /// Connections ended gently because the peer's certificate has expired.
    var peersExpired: UInt64 = 0
    /// Connections ended gently because the peer's trust anchor was removed.
    var peersDistrusted: UInt64 = 0
    /// Those of both kinds that were cut after the time they were given.
    var peersCut: UInt64 = 0

    /// Counts an upstream connection that has just opened.
    mutating func opened(_ channel: Channel) {
        guard channel.isTLS else { return }
        clientHandshakes += 1
        if channel.isResumed { clientHandshakesResumed += 1 }
    }

    static func + (left: Counters, right: Counters) -> Counters {
        var sum = left
        sum.connectionsAccepted += right.connectionsAccepted
        sum.serverHandshakes += right.serverHandshakes
        sum.serverHandshakesResumed += right.serverHandshakesResumed
        sum.serverHandshakeFailures += right.serverHandshakeFailures
        sum.clientHandshakes += right.clientHandshakes
        sum.clientHandshakesResumed += right.clientHandshakesResumed
        sum.requests += right.requests
        sum.upstreamFailures += right.upstreamFailures
        sum.retries += right.retries
        sum.plaintextRefused += right.plaintextRefused
        sum.plaintextAllowed += right.plaintextAllowed
        sum.http2Violations += right.http2Violations
        sum.peersExpired += right.peersExpired
        sum.peersDistrusted += right.peersDistrusted
        sum.peersCut += right.peersCut
        return sum
    }
}
