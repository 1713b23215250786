/// Where a connection's requests go, and what is changed in them on the way.
///
/// Made once per downstream connection, so that what is the same for all its requests is rendered once.
class RequestRouting {
    final let rewrite: RequestRewrite

    init(_ rewrite: consuming RequestRewrite) { self.rewrite = rewrite }

    /// The destination of a request whose head lies in `bytes`.
    func route(_ head: borrowing RequestHead, in bytes: Span<UInt8>) -> Route {
        preconditionFailure("a routing says where requests go")
    }

    /// What becomes of CONNECT; only a proxy that was asked for by name serves it.
    func connect(_ head: borrowing RequestHead, in bytes: Span<UInt8>) -> Route {
        .refuse(status: 501, "CONNECT is not supported here")
    }
}

enum Route {
    case upstream(UpstreamRoute)
    case tunnel(Tunnel)
    case refuse(status: UInt16, StaticString)
}
