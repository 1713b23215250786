import Addressing

/// One open connection, for `/connections`.
struct ConnectionDescription: Sendable {
    let isAccepted: Bool
    let direction: Direction
    let remote: Endpoint
    let state: String
    let kind: String
    let ageMicroseconds: Int64
    let queuedBytes: Int
    let tlsVersion: String?
    let serverName: String?
    /// Of a downstream connection.
    let peerIdentity: String?

    init(_ channel: Channel, at now: Int64) {
        isAccepted = channel.isAccepted
        direction = channel.direction
        remote = channel.remote
        state =
            switch channel.phase {
            case .connecting: "connecting"
            case .handshaking: "handshaking"
            case .open: "open"
            case .closed: "closed"
            }
        kind = "\(channel.user?.kind ?? "closing")"
        ageMicroseconds = now - channel.startedAt
        queuedBytes = channel.queuedBytes
        tlsVersion = channel.isTLS && channel.phase == .open ? channel.tlsVersion : nil
        serverName = channel.serverName
        let record = channel.isAccepted ? channel.user?.connectionRecord : nil
        peerIdentity = record.flatMap {
            $0.peerIdentity.isEmpty ? nil : String(decoding: $0.peerIdentity, as: UTF8.self)
        }
    }

    /// Described of each worker at most.
    static let maximumPerWorker = 1_000
}
