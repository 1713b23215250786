/// Why an upstream gave no whole answer.
enum UpstreamFailure {
    case channel(ChannelError)
    /// It closed the connection before its answer was whole.
    case closedEarly
    /// Its answer is not HTTP/1.1 as RFC 9112 has it.
    case nonsense(HTTPError)
    /// It took longer than RESPONSE_TIMEOUT_SECS.
    case tooSlow

    var sentence: String {
        switch self {
        case .channel(let error): error.sentence
        case .closedEarly: "the upstream closed the connection before its answer was complete"
        case .nonsense(let error): "the upstream's answer is malformed: \(error.sentence)"
        case .tooSlow: "the upstream did not answer in time"
        }
    }

    /// The status for the peer: 504 when the upstream was slow, 502 otherwise (RFC 9110 section 15.6).
    var status: UInt16 {
        switch self {
        case .channel(let error): error.isTimeout ? 504 : 502
        case .closedEarly, .nonsense: 502
        case .tooSlow: 504
        }
    }

    /// Envoy's response flag, as Istio's access log prints it.
    var flag: StaticString {
        switch self {
        case .channel(let error):
            switch error {
            case .connect, .connectTimedOut, .noAddress, .handshake, .handshakeTimedOut: "UF"
            case .tls, .broken: "UC"
            }
        case .closedEarly: "UC"
        case .nonsense: "UPE"
        case .tooSlow: "UT"
        }
    }
}
