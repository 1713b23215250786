/// Why an upstream failed, as coarse as a label may be.
enum UpstreamErrorReason: UInt8, CaseIterable, Sendable {
    case connect, connectTimeout, noAddress, lookUpTimeout, loop, handshake, handshakeTimeout, tls, broken
    case closedEarly, malformedAnswer, streamReset, responseTimeout

    init(_ failure: UpstreamFailure) {
        switch failure {
        case .channel(let error): self.init(error)
        case .closedEarly: self = .closedEarly
        case .nonsense: self = .malformedAnswer
        case .reset: self = .streamReset
        case .tooSlow: self = .responseTimeout
        }
    }

    init(_ error: ChannelError) {
        switch error {
        case .connect: self = .connect
        case .connectTimedOut: self = .connectTimeout
        case .noAddress: self = .noAddress
        case .lookUpTimedOut: self = .lookUpTimeout
        case .loop: self = .loop
        case .handshake: self = .handshake
        case .handshakeTimedOut: self = .handshakeTimeout
        case .tls, .peerOutlived: self = .tls
        case .broken: self = .broken
        }
    }

    var name: StaticString {
        switch self {
        case .connect: "connect"
        case .connectTimeout: "connect_timeout"
        case .noAddress: "no_address"
        case .lookUpTimeout: "lookup_timeout"
        case .loop: "loop"
        case .handshake: "handshake"
        case .handshakeTimeout: "handshake_timeout"
        case .tls: "tls"
        case .broken: "connection_broken"
        case .closedEarly: "closed_early"
        case .malformedAnswer: "malformed_answer"
        case .streamReset: "stream_reset"
        case .responseTimeout: "response_timeout"
        }
    }
}
