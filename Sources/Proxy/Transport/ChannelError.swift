import Addressing
import Glibc

/// Why a connection could not be made or went away before its time.
enum ChannelError: Error {
    case connect(SystemError, Endpoint)
    case connectTimedOut(Endpoint)
    case noAddress(String)
    case lookUpTimedOut(String)
    /// The address is this machine's and the port one of this process.
    case loop(Endpoint)
    case handshake(TLSError)
    case handshakeTimedOut
    case tls(TLSError)
    /// The kernel reported an error while bytes moved: reset, broken pipe, timed out.
    case broken(SystemError)
    /// The peer would be refused by now, and its connection did not end in the time it was given.
    case peerOutlived

    /// Written to after its end.
    static var brokenPipe: ChannelError { .broken(SystemError(call: "send", number: EPIPE)) }

    /// One sentence for the log.
    var sentence: String {
        switch self {
        case .connect(let error, let endpoint): "connect to \(endpoint) failed: \(SystemError.text(error.number))"
        case .connectTimedOut(let endpoint): "connect to \(endpoint) timed out"
        case .noAddress(let name): "\(name) has no address"
        case .lookUpTimedOut(let name): "looking up \(name) took too long"
        case .loop(let endpoint): "\(endpoint) is this proxy itself"
        case .handshake(let error): "TLS handshake failed: \(error.detail)"
        case .handshakeTimedOut: "TLS handshake timed out"
        case .tls(let error): "TLS failed: \(error.detail)"
        case .broken(let error): "connection broke: \(SystemError.text(error.number))"
        case .peerOutlived: "the peer's certificate has expired, or its trust anchor was removed"
        }
    }

    /// Why TLS failed, from a bounded set.
    var tlsReason: TLSError.Reason {
        switch self {
        case .handshake(let error), .tls(let error): error.reason
        case .handshakeTimedOut: .timeout
        case .connect, .connectTimedOut, .noAddress, .lookUpTimedOut, .loop, .broken, .peerOutlived: .connection
        }
    }

    /// The certificate that was not accepted, where that was it.
    var certificate: TLSError.Certificate? {
        switch self {
        case .handshake(let error), .tls(let error): error.certificate
        case .connect, .connectTimedOut, .noAddress, .lookUpTimedOut, .loop, .handshakeTimedOut, .broken, .peerOutlived:
            nil
        }
    }

    /// True when the other side was too slow rather than wrong.
    var isTimeout: Bool {
        switch self {
        case .connectTimedOut, .lookUpTimedOut, .handshakeTimedOut: true
        case .connect(let error, _): error.number == ETIMEDOUT
        case .noAddress, .loop, .handshake, .tls, .broken, .peerOutlived: false
        }
    }
}
