/// What a client offers to speak inside TLS (ALPN, RFC 7301).
enum ProtocolOffer {
    case nothing, http1, http2
    /// The server chooses, HTTP/2 first.
    case http2OrHTTP1

    /// A list of length-prefixed names.
    var wireFormat: [UInt8] {
        let http1 = [8] + Array("http/1.1".utf8)
        let http2 = [2] + Array("h2".utf8)
        return switch self {
        case .nothing: []
        case .http1: http1
        case .http2: http2
        case .http2OrHTTP1: http2 + http1
        }
    }
}
