import Addressing
import CLinux
import COpenSSL
import Glibc

@testable import Proxy

/// Two TLS sessions on the ends of a socket pair, driven in turns until both are done.
final class TLSLink {
    private var clientSocket: Descriptor?
    private var serverSocket: Descriptor?
    private var client: TLSSession
    private var server: TLSSession

    init(
        _ serverContext: TLSContext, _ clientContext: TLSContext, verify: ServerVerification = .chainOnly(sni: nil),
        resuming: TLSResumption? = nil
    ) throws {
        var ends: [CInt] = [-1, -1]
        let kind = CInt(SOCK_STREAM.rawValue | SOCK_NONBLOCK.rawValue | SOCK_CLOEXEC.rawValue)
        guard unsafe socketpair(AF_UNIX, kind, 0, &ends) == 0 else { throw TestFailure("no socket pair") }
        serverSocket = Descriptor(owning: ends[0])
        clientSocket = Descriptor(owning: ends[1])
        server = try TLSSession(serverSide: serverContext, descriptor: ends[0])
        client = try TLSSession(clientSide: clientContext, descriptor: ends[1], verify: verify, resuming: resuming)
    }

    enum End { case server, client }
    enum Ending: Equatable { case done, refused(TLSError.Reason), stuck }

    /// What became of the handshake, as each side sees it; sentences of the failures for the test to read.
    private(set) var details: [String] = []

    func handshake() -> (server: Ending, client: Ending) {
        var serverEnd: Ending?
        var clientEnd: Ending?
        // Each round moves at least one flight; TLS 1.2 needs four.
        for _ in 0..<10 {
            if clientEnd == nil { clientEnd = ending(client.handshake()) }
            if serverEnd == nil { serverEnd = ending(server.handshake()) }
            if let serverEnd, let clientEnd { return (serverEnd, clientEnd) }
        }
        return (serverEnd ?? .stuck, clientEnd ?? .stuck)
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
        case .server: server.sendCloseNotify()
        case .client: client.sendCloseNotify()
        }
    }

    /// The end's socket is closed under its session, as by a crash.
    func cut(_ end: End) {
        switch end {
        case .server: serverSocket = nil
        case .client: clientSocket = nil
        }
    }

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

    /// What the client may resume: under TLS 1.3 after it has read something behind the ticket.
    func resumption() throws -> TLSResumption? {
        guard case .bytes = write([1], from: .server), case .bytes = read(at: .client).outcome else {
            throw TestFailure("the link does not carry data")
        }
        return client.resumption()
    }
}

struct TestFailure: Error, CustomStringConvertible {
    let description: String

    init(_ description: String) { self.description = description }
}
