/// A connection whose protocol its TLS handshake will tell (ALPN, RFC 7301), and the exchanges that wait for it.
final class Negotiation: ChannelUser {
    enum Outcome { case http2(Channel), http1(Channel), failed(ChannelError) }

    private let pool: UpstreamPool
    private let worker: Worker
    var waiting: [Exchange] = []

    init(_ pool: UpstreamPool, _ worker: Worker) throws(ChannelError) {
        self.pool = pool
        self.worker = worker
        super.init()
        let channel = try Channel(connectingTo: pool.target, offering: .http2OrHTTP1, in: worker.reactor)
        channel.user = self
    }

    override func channelOpened(_ channel: Channel) {
        worker.upstreamOpened(channel)
        pool.negotiated(self, channel.negotiatedProtocol == "h2" ? .http2(channel) : .http1(channel))
    }

    override var kind: StaticString { "undecided" }

    override func channelFailed(_ channel: Channel, _ error: ChannelError) {
        worker.upstreamFailed(channel, error)
        channel.close()
        pool.negotiated(self, .failed(error))
    }
}
