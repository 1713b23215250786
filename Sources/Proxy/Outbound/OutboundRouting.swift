import Addressing

/// Requests of the application on one captured connection: mTLS to where the connection was going, to a server that
/// proves the name in `Host`.
final class OutboundRouting: RequestRouting {
    private let worker: Worker
    private let original: Endpoint
    /// The authority of the last request and its pool: requests of one connection mostly name one host.
    private var lastAuthority: [UInt8] = []
    private var lastPool: UpstreamPool?

    init(_ worker: Worker, _ original: Endpoint) {
        self.worker = worker
        self.original = original
        var rewrite = RequestRewrite()
        rewrite.preserveHost = true
        super.init(rewrite)
    }

    override func route(_ head: borrowing RequestHead, in bytes: Span<UInt8>) -> Route {
        let authority = bytes.extracting(head.authority.range)
        let version: UpstreamVersion = head.isHTTP2 ? .negotiated : .http1
        if let lastPool, authority.equals(lastAuthority) {
            return .upstream(UpstreamRoute(pool: lastPool, version: version))
        }
        let text = authority.text
        guard let pool = worker.upstreams.peer(original, name: OutboundRouting.name(of: text)) else {
            return .refuse(status: 503, "no client certificate is loaded")
        }
        lastAuthority = Array(text.utf8)
        lastPool = pool
        return .upstream(UpstreamRoute(pool: pool, version: version))
    }

    /// The host of an authority, in lower case, without port and brackets.
    static func name(of authority: String) -> String {
        var host = Substring(authority)
        if host.hasPrefix("["), let end = host.firstIndex(of: "]") {
            host = host[host.index(after: host.startIndex)..<end]
        } else if let colon = host.lastIndex(of: ":") {
            host = host[..<colon]
        }
        return host.lowercased()
    }
}
