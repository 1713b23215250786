import Addressing

/// Protocol toward an upstream.
enum UpstreamVersion: Equatable {
    case http1
    /// HTTP/2 by prior knowledge (RFC 9113 section 3.3).
    case http2
    /// HTTP/2 where the server selects it (ALPN, RFC 7301), HTTP/1.1 where not.
    case negotiated
}

/// Where a request goes.
struct UpstreamRoute {
    let pool: UpstreamPool
    let version: UpstreamVersion

    /// For a request that asks for another protocol (RFC 9110 section 7.8): HTTP/1.1 is where one is switched to. nil
    /// where the upstream is known to speak HTTP/2 only.
    var forUpgrade: UpstreamRoute? {
        switch version {
        case .http1: self
        case .negotiated: UpstreamRoute(pool: pool, version: .http1)
        case .http2: nil
        }
    }
}

/// The upstream's side of an exchange: a whole connection with HTTP/1.1, a stream of one with HTTP/2.
enum UpstreamLink {
    case http1(HTTP1Upstream)
    case http2(HTTP2Request)

    func begin(
        _ head: borrowing RequestHead, _ bytes: Span<UInt8>, _ rewrite: borrowing RequestRewrite, _ requestID: [UInt8],
        isWhole: Bool, for exchange: Exchange
    ) {
        switch self {
        case .http1(let upstream): upstream.begin(head, bytes, rewrite, requestID, isWhole: isWhole, for: exchange)
        case .http2(let request): request.begin(head, bytes, rewrite, requestID, isWhole: isWhole, for: exchange)
        }
    }

    /// Sends a piece of the body; a failure shows at the next flush.
    func send(_ payload: Span<UInt8>) {
        switch self {
        case .http1(let upstream): upstream.send(payload)
        case .http2(let request): request.send(payload)
        }
    }

    func end(_ trailers: [FieldLine], from bytes: Span<UInt8>) {
        switch self {
        case .http1(let upstream): upstream.end(trailers, from: bytes)
        case .http2(let request): request.end(trailers, from: bytes)
        }
    }

    /// Hands what was sent to the kernel or the queue; false when the connection is gone.
    func flush() -> Bool {
        switch self {
        case .http1(let upstream): upstream.flush()
        case .http2(let request): request.flush()
        }
    }

    /// The exchange wants no answer any more.
    func abandon() {
        switch self {
        case .http1(let upstream): upstream.abandon()
        case .http2(let request): request.abandon()
        }
    }

    func pauseAnswer() {
        switch self {
        case .http1(let upstream): upstream.channel.pauseReading()
        case .http2(let request): request.pauseAnswer()
        }
    }

    func resumeAnswer() {
        switch self {
        case .http1(let upstream): upstream.channel.resumeReading()
        case .http2(let request): request.resumeAnswer()
        }
    }

    /// The connection has carried a request before, and may have died since.
    var isReused: Bool {
        switch self {
        case .http1(let upstream): upstream.isReused
        case .http2(let request): request.isReused
        }
    }

    /// The request may turn out not to have been taken: a pooled connection may be dead, and HTTP/2 has a way to say so.
    var mayNeedReplay: Bool {
        switch self {
        case .http1(let upstream): upstream.isReused
        case .http2: true
        }
    }

    /// An answer may still be read although nothing more can be sent.
    var isReadable: Bool {
        switch self {
        case .http1(let upstream): upstream.channel.isOpen
        case .http2: false
        }
    }

    var remote: Endpoint {
        switch self {
        case .http1(let upstream): upstream.channel.remote
        case .http2(let request): request.remote
        }
    }
}
