/// Requests that the application sends to the proxy itself, each naming its destination: mTLS to there.
///
/// Asking this proxy is asking for mTLS, so neither `OUTBOUND_DEFAULT` nor `OUTBOUND_MTLS_CIDRS` is looked at.
final class ForwardRouting: RequestRouting {
    private let worker: Worker
    private let channel: Channel
    /// The authority of the last request and its pool: requests of one connection mostly name one host.
    private var lastAuthority: [UInt8] = []
    private var lastPool: UpstreamPool?

    init(_ worker: Worker, _ channel: Channel) {
        self.worker = worker
        self.channel = channel
        super.init(RequestRewrite())
    }

    override func route(_ head: borrowing RequestHead, in bytes: Span<UInt8>) -> Route {
        // HTTP/2 has one form of request target, which names the host.
        guard head.targetForm == .absolute || head.isHTTP2 else {
            return .refuse(status: 400, "this is a proxy: the request target must be a whole URL")
        }
        let authority = bytes.extracting(head.authority.range)
        let version: UpstreamVersion = head.isHTTP2 ? .negotiated : .http1
        if let lastPool, authority.equals(lastAuthority) {
            return .upstream(UpstreamRoute(pool: lastPool, version: version))
        }
        // To the proxy `http` and `https` are the same: either way TLS begins here.
        guard let destination = ForwardDestination(authority.text, defaultPort: 443) else {
            return .refuse(status: 400, "the URL's host or port is malformed")
        }
        guard let pool = worker.upstreams.forward(destination) else { return noCertificate }
        lastAuthority = Array(authority.text.utf8)
        lastPool = pool
        return .upstream(UpstreamRoute(pool: pool, version: version))
    }

    override func connect(_ head: borrowing RequestHead, in bytes: Span<UInt8>) -> Route {
        guard !head.isHTTP2 else { return .refuse(status: 501, "CONNECT is not supported over HTTP/2") }
        guard head.framing == .none || head.framing == .length(0) else {
            return .refuse(status: 400, "CONNECT has no body")
        }
        let authority = bytes.extracting(head.authority.range).text
        guard let destination = ForwardDestination(authority, defaultPort: nil) else {
            return .refuse(status: 400, "CONNECT needs a host and a port")
        }
        guard let pool = worker.upstreams.forward(destination) else { return noCertificate }
        return .tunnel(Tunnel(worker, channel, to: pool.target))
    }

    private var noCertificate: Route { .refuse(status: 503, "no client certificate is loaded") }
}
