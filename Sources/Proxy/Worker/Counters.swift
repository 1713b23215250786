/// What one worker has counted. Plain integers in place: each worker has its own, and recording is a few additions;
/// sums are made by whoever asks.
struct Counters: Sendable {
    // By direction.
    private(set) var requests: [2 of UInt64] = .init(repeating: 0)
    private(set) var requestsEnded: [2 of UInt64] = .init(repeating: 0)
    /// Answers by direction and class: `direction * classes + class`.
    private(set) var durations: [12 of Histogram] = .init(repeating: Histogram())
    private(set) var requestBytes: [2 of UInt64] = .init(repeating: 0)
    private(set) var responseBytes: [2 of UInt64] = .init(repeating: 0)
    private(set) var connections = Opened()
    private(set) var upstreamConnections = Opened()
    private(set) var upstreamConnecting: [2 of Histogram] = .init(repeating: Histogram())
    private(set) var upstreamErrors: [26 of UInt64] = .init(repeating: 0)

    // By side of TLS.
    private(set) var handshakes: [2 of UInt64] = .init(repeating: 0)
    private(set) var handshakesResumed: [2 of UInt64] = .init(repeating: 0)
    private(set) var handshakeFailures: [36 of UInt64] = .init(repeating: 0)

    var retries: UInt64 = 0
    var plaintext = PortCounters()
    /// HTTP/2 connections ended because the peer broke the protocol or flooded.
    var http2Violations: UInt64 = 0
    /// Connections ended gently because the peer's certificate has expired.
    var peersExpired: UInt64 = 0
    /// Connections ended gently because the peer's trust anchor was removed.
    var peersDistrusted: UInt64 = 0
    /// Those of both kinds that were cut after the time they were given.
    var peersCut: UInt64 = 0
    /// How often a listener rested because MAX_CONNECTIONS were open.
    var connectionLimitReached: UInt64 = 0
    var flowsDropped: UInt64 = 0
    var handshakeReportsDropped: UInt64 = 0

    // The forward proxy's.
    var outboundFailures: UInt64 = 0
    private(set) var connects = Attempts()
    private(set) var upgrades = Attempts()

    /// Connections of one kind, by direction.
    struct Opened: Sendable {
        fileprivate(set) var opened: [2 of UInt64] = .init(repeating: 0)
        fileprivate(set) var closed: [2 of UInt64] = .init(repeating: 0)

        var open: [2 of UInt64] {
            var open = opened
            for index in open.indices { open[index] -= min(open[index], closed[index]) }
            return open
        }

        fileprivate mutating func add(_ other: Opened) {
            for index in opened.indices {
                opened[index] += other.opened[index]
                closed[index] += other.closed[index]
            }
        }
    }

    /// Tunnels asked for, by what came of it.
    struct Attempts: Sendable {
        fileprivate(set) var failures: UInt64 = 0
        /// Of those that stood: how long that took.
        fileprivate(set) var durations = Histogram()

        var successes: UInt64 { durations.count }

        fileprivate mutating func add(_ other: Attempts) {
            failures += other.failures
            durations.add(other.durations)
        }
    }

    // MARK: recording

    mutating func requestBegan(_ direction: Direction) { requests[direction.index] += 1 }

    mutating func requestEnded(_ direction: Direction, _ status: UInt16, after microseconds: Int64) {
        requestsEnded[direction.index] += 1
        durations[Counters.row(direction, StatusClass(status))].record(microseconds)
    }

    /// Bytes of a request's body, or from the client of a relay.
    mutating func sentUp(_ direction: Direction, _ count: Int) { requestBytes[direction.index] += UInt64(count) }

    mutating func sentDown(_ direction: Direction, _ count: Int) { responseBytes[direction.index] += UInt64(count) }

    mutating func connectionOpened(_ direction: Direction) { connections.opened[direction.index] += 1 }
    mutating func connectionClosed(_ direction: Direction) { connections.closed[direction.index] += 1 }

    mutating func upstreamOpened(_ direction: Direction, after microseconds: Int64) {
        upstreamConnections.opened[direction.index] += 1
        upstreamConnecting[direction.index].record(microseconds)
    }

    mutating func upstreamClosed(_ direction: Direction) { upstreamConnections.closed[direction.index] += 1 }

    mutating func upstreamFailed(_ direction: Direction, _ reason: UpstreamErrorReason) {
        upstreamErrors[Counters.row(direction, reason)] += 1
    }

    mutating func handshook(_ side: TLSSide, isResumed: Bool) {
        handshakes[side.index] += 1
        if isResumed { handshakesResumed[side.index] += 1 }
    }

    mutating func handshakeFailed(_ side: TLSSide, _ reason: TLSError.Reason) {
        handshakeFailures[Counters.row(side, reason)] += 1
    }

    /// What came of a CONNECT.
    mutating func connected(_ stands: Bool, after microseconds: Int64) {
        Counters.note(stands, microseconds, &connects)
    }

    /// What came of an upgrade that the application asked for.
    mutating func upgraded(_ stands: Bool, after microseconds: Int64) {
        Counters.note(stands, microseconds, &upgrades)
    }

    private static func note(_ stands: Bool, _ microseconds: Int64, _ attempts: inout Attempts) {
        if stands { attempts.durations.record(microseconds) } else { attempts.failures += 1 }
    }

    // MARK: tables

    static func row(_ direction: Direction, _ status: StatusClass) -> Int { direction.index * 6 + Int(status.rawValue) }

    static func row(_ direction: Direction, _ reason: UpstreamErrorReason) -> Int {
        direction.index * 13 + Int(reason.rawValue)
    }

    static func row(_ side: TLSSide, _ reason: TLSError.Reason) -> Int { side.index * 18 + reason.index }

    // MARK: sums

    mutating func add(_ other: Counters) {
        for index in requests.indices {
            requests[index] += other.requests[index]
            requestsEnded[index] += other.requestsEnded[index]
            requestBytes[index] += other.requestBytes[index]
            responseBytes[index] += other.responseBytes[index]
            upstreamConnecting[index].add(other.upstreamConnecting[index])
            handshakes[index] += other.handshakes[index]
            handshakesResumed[index] += other.handshakesResumed[index]
        }
        for index in durations.indices { durations[index].add(other.durations[index]) }
        for index in upstreamErrors.indices { upstreamErrors[index] += other.upstreamErrors[index] }
        for index in handshakeFailures.indices { handshakeFailures[index] += other.handshakeFailures[index] }
        connections.add(other.connections)
        upstreamConnections.add(other.upstreamConnections)
        retries += other.retries
        plaintext.add(other.plaintext)
        http2Violations += other.http2Violations
        peersExpired += other.peersExpired
        peersDistrusted += other.peersDistrusted
        peersCut += other.peersCut
        connectionLimitReached += other.connectionLimitReached
        flowsDropped += other.flowsDropped
        handshakeReportsDropped += other.handshakeReportsDropped
        outboundFailures += other.outboundFailures
        connects.add(other.connects)
        upgrades.add(other.upgrades)
    }
}

/// Which end of a handshake this process was.
enum TLSSide: UInt8, CaseIterable, Sendable {
    case server, client

    var index: Int { Int(rawValue) }

    var name: StaticString {
        switch self {
        case .server: "server"
        case .client: "client"
        }
    }
}
