import COpenSSL

@testable import Proxy

/// Two TLS sessions on the ends of a socket pair, driven in turns until both are done.
final class TLSLink {
    enum End { case server, client }
    enum Ending: Equatable { case done, refused(TLSError.Reason), stuck }

    private let sockets: SocketPair
    private var client: TLSSession
    private var server: TLSSession
    /// What was said about failures.
    private(set) var details: [String] = []

    init(
        _ serverContext: TLSContext, _ clientContext: TLSContext, verify: ServerVerification,
        resuming: TLSResumption? = nil
    ) throws {
        let sockets = try SocketPair()
        self.sockets = sockets
        server = try TLSSession(serverSide: serverContext, descriptor: sockets.near.raw)
        client = try TLSSession(
            clientSide: clientContext, descriptor: sockets.farRaw, verify: verify, resuming: resuming)
    }

    static func limitToVersion1_2(_ context: TLSContext) {
        unsafe SSL_CTX_ctrl(context.raw, SSL_CTRL_SET_MAX_PROTO_VERSION, Int(TLS1_2_VERSION), nil)
    }

    static func leaveStaleError() {
        var nothing: UnsafePointer<UInt8>?
        unsafe X509_free(d2i_X509(nil, &nothing, 0))
    }

    /// What became of the handshake, as each side sees it.
    func handshake() -> (server: Ending, client: Ending) {
        var serverEnding: Ending?
        var clientEnding: Ending?
        // Each round moves at least one flight; TLS 1.2 needs four.
        for _ in 0..<10 {
            if clientEnding == nil { clientEnding = ending(client.handshake()) }
            if serverEnding == nil { serverEnding = ending(server.handshake()) }
            if let serverEnding, let clientEnding { return (serverEnding, clientEnding) }
        }
        return (serverEnding ?? .stuck, clientEnding ?? .stuck)
    }

    private func ending(_ outcome: TLSSession.HandshakeOutcome) -> Ending? {
        switch outcome {
        case .done: return .done
        case .wantsRead, .wantsWrite: return nil
        case .failed(let error):
            details.append(error.detail)
            return .refused(error.reason)
        }
    }

    func write(_ bytes: [UInt8], from end: End) -> TLSSession.IOOutcome {
        switch end {
        case .server: server.write(bytes.span)
        case .client: client.write(bytes.span)
        }
    }

    func read(at end: End, atMost count: Int = 65_536) -> (outcome: TLSSession.IOOutcome, bytes: [UInt8]) {
        var buffer = [UInt8](repeating: 0, count: count)
        let outcome =
            switch end {
            case .server: server.read(into: &buffer)
            case .client: client.read(into: &buffer)
            }
        if case .bytes(let count) = outcome { return (outcome, Array(buffer.prefix(count))) }
        return (outcome, [])
    }

    func sendCloseNotify(from end: End) {
        switch end {
        case .server: _ = server.sendCloseNotify()
        case .client: _ = client.sendCloseNotify()
        }
    }

    /// The client's socket is closed under its session, as by a crash.
    func cutClient() { sockets.closeFar() }

    /// Bytes that are no record of the session.
    func forgeFromClient(_ bytes: [UInt8]) { sockets.sendFromFar(bytes) }

    func hasPending(_ end: End) -> Bool {
        switch end {
        case .server: server.hasPending
        case .client: client.hasPending
        }
    }

    var isResumed: Bool { server.isResumed && client.isResumed }
    var serverName: String? { server.serverName }
    var clientIdentity: PeerIdentity? { server.peerIdentity() }
    var serverIdentity: PeerIdentity? { client.peerIdentity() }

    /// What the client may resume without having read anything.
    var resumptionNow: TLSResumption? { client.resumption() }

    /// What the client may resume: under TLS 1.3 only after it has read something behind the ticket.
    func resumption() throws -> TLSResumption? {
        guard case .bytes = write([1], from: .server), case .bytes = read(at: .client).outcome else {
            throw TestFailure("the link does not carry data")
        }
        return client.resumption()
    }
}
