/// Why an upstream gave no whole answer.
enum UpstreamFailure {
    case channel(ChannelError)
    /// It closed the connection before its answer was whole.
    case closedEarly
    /// Its answer is not HTTP/1.1 as RFC 9112 has it.
    case nonsense(HTTPError)
    /// It ended the stream early (RFC 9113 section 7).
    case reset(code: UInt32)
    /// It took longer than RESPONSE_TIMEOUT_SECS.
    case tooSlow

    var sentence: String {
        switch self {
        case .channel(let error): error.sentence
        case .closedEarly: "the upstream closed the connection before its answer was complete"
        case .nonsense(let error): "the upstream's answer is malformed: \(error.sentence)"
        case .reset(let code): "the upstream reset the stream with error code \(code)"
        case .tooSlow: "the upstream did not answer in time"
        }
    }

    /// The status for the peer: 403 for a loop, 504 when the upstream was slow, 502 otherwise (RFC 9110 section 15.6).
    var status: UInt16 {
        switch self {
        case .channel(.loop): 403
        case .channel(let error): error.isTimeout ? 504 : 502
        case .closedEarly, .nonsense, .reset: 502
        case .tooSlow: 504
        }
    }

    /// The peer's one line: what happened, not where.
    var answer: StaticString {
        switch status {
        case 403: "the request would come back to this proxy"
        case 504: "upstream timed out"
        case _: "upstream failed"
        }
    }

    /// Envoy's response flag, as Istio's access log prints it.
    var flag: StaticString {
        switch self {
        case .channel(let error):
            switch error {
            case .connect, .connectTimedOut, .handshake, .handshakeTimedOut: "UF"
            case .noAddress, .lookUpTimedOut: "DF"
            case .loop: "NR"
            case .tls, .broken, .peerOutlived: "UC"
            }
        case .closedEarly: "UC"
        case .reset: "UR"
        case .nonsense: "UPE"
        case .tooSlow: "UT"
        }
    }

    /// How an HTTP/2 client is told that its answer is not whole: with the upstream's own word where it had one.
    var resetCode: UInt32 {
        switch self {
        // To the client NO_ERROR would say that nothing is missing (RFC 9113 section 8.1).
        case .reset(let code): code == HTTP2ErrorCode.none ? HTTP2ErrorCode.internalError : code
        case .channel, .closedEarly, .nonsense, .tooSlow: HTTP2ErrorCode.internalError
        }
    }
}
