import Addressing

/// Requests of a peer, all to the application; with headers that say who the peer is, as the certificate has it.
final class InboundRouting: RequestRouting {
    private let worker: Worker
    /// nil on the explicit port, where the upstream's addresses may change.
    private let application: UpstreamPool?

    init(_ worker: Worker, peer: Endpoint, identity: PeerIdentity?, isTLS: Bool, application: UpstreamPool?) {
        self.worker = worker
        self.application = application
        let configuration = worker.configuration.inbound
        let isExplicit = application == nil
        var rewrite = RequestRewrite()
        rewrite.preserveHost = configuration.preserveHost ?? !isExplicit
        rewrite.host = [UInt8](configuration.upstream.authority.utf8)
        rewrite.pathPrefix = isExplicit ? [UInt8](configuration.upstream.basePath.utf8) : []
        rewrite.stripsForwarding = true
        rewrite.stripsIdentity = true
        rewrite.forwardedHost = true
        rewrite.forwarded = InboundRouting.forwardedLines(peer.address, isTLS: isTLS)
        if let identity {
            rewrite.identity = IdentityHeaders.render(
                identity, selection: configuration.identityHeaders, serverURI: worker.serverURI)
        }
        super.init(rewrite)
    }

    override func route(_ head: borrowing RequestHead, in bytes: Span<UInt8>) -> Route {
        if let pool = application ?? worker.upstreams.explicit {
            return .upstream(UpstreamRoute(pool: pool, version: version(head, overTLS: pool.target.tls != nil)))
        }
        return .refuse(status: 503, "the upstream has no address yet")
    }

    /// Over TLS the server has the last word on HTTP/2; in the clear it must be known beforehand.
    private func version(_ head: borrowing RequestHead, overTLS: Bool) -> UpstreamVersion {
        switch worker.configuration.inbound.upstreamProtocol {
        case .http1: .http1
        case .h2c: overTLS ? .negotiated : .http2
        case .auto where head.fields.isGRPC: overTLS ? .negotiated : .http2
        case .auto: .http1
        }
    }

    private static func forwardedLines(_ peer: IPAddress, isTLS: Bool) -> [UInt8] {
        let proto = isTLS ? "https" : "http"
        return [UInt8]("X-Forwarded-For: \(peer)\r\nX-Forwarded-Proto: \(proto)\r\nX-Real-IP: \(peer)\r\n".utf8)
    }
}
