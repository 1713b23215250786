/// Where a connection's requests go, and what is changed in them on the way.
///
/// Made once per downstream connection, so that what is the same for all its requests is rendered once.
class RequestRouting {
    final let rewrite: RequestRewrite

    init(_ rewrite: RequestRewrite) { self.rewrite = rewrite }

    /// The destination of a request whose head lies in `bytes`.
    func route(_ head: borrowing RequestHead, in bytes: Span<UInt8>) -> Route {
        preconditionFailure("a routing says where requests go")
    }

    /// `inbound` or `outbound`, for the log.
    var direction: StaticString { preconditionFailure("a routing has a direction") }
}

enum Route {
    case upstream(UpstreamRoute)
    case refuse(status: UInt16, StaticString)
}
