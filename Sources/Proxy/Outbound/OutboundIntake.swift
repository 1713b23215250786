import Addressing

/// A captured connection of the application: made mTLS on its way out, unless it is encrypted already or excepted.
final class OutboundIntake: Intake {
    private let original: Endpoint

    init(_ worker: Worker, _ channel: Channel, original: Endpoint) {
        self.original = original
        super.init(worker, channel, .outbound)
    }

    func begin() {
        channel.user = self
        // A connection to the capture port itself was not redirected: dialling its destination would dial this proxy.
        if worker.isOwnPort(original.port), original.address.isLoopback || original.port == worker.outboundPort {
            return channel.abort()
        }
        switch OutboundDecision.decide(worker.configuration.outbound, original.address) {
        case .mtls: awaitFirstBytes()
        case .passthrough: relay([], to: worker.upstreams.plainTarget(original), referee: nil)
        case .deny:
            record.flags = "NR"
            record.reason = "OUTBOUND_DEFAULT denies \(original)"
            worker.log(record)
            channel.abort()
        }
    }

    override func serveHTTP(_ bytes: [UInt8]) {
        HTTP1Downstream(channel, OutboundRouting(worker, original), worker, record: record).start(early: bytes)
    }

    override func serveHTTP2(_ bytes: [UInt8]) { startHTTP2(bytes, OutboundRouting(worker, original)) }

    /// Already encrypted: the application speaks TLS itself.
    override func serveTLS(_ bytes: [UInt8]) {
        relay(bytes, to: worker.upstreams.plainTarget(original), referee: nil)
    }

    override func serveOpaque(_ bytes: [UInt8], referee: Intake?) {
        guard let target = worker.upstreams.peerTarget(original, name: "") else { return channel.abort() }
        relay(bytes, to: target, referee: referee)
    }
}
