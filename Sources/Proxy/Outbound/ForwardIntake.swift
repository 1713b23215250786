/// A connection of the application to the forward proxy.
final class ForwardIntake: Intake {
    init(_ worker: Worker, _ channel: Channel) { super.init(worker, channel, .outbound) }

    func begin() {
        awaitFirstBytes()
        channel.setDeadline(after: worker.openingTime)  // here nobody waits for the server to speak first
    }

    override func channelDraining(_ channel: Channel) {
        guard isSilent else { return super.channelDraining(channel) }
        channel.hurry(within: Limits.drainGraceMicroseconds)
    }

    override func serveHTTP(_ bytes: [UInt8]) {
        HTTP1Downstream(channel, ForwardRouting(worker, channel), worker, record: record).start(early: bytes)
    }

    override func serveHTTP2(_ bytes: [UInt8]) { startHTTP2(bytes, ForwardRouting(worker, channel)) }

    /// Not for a proxy: HTTP has the words to say so.
    override func serveTLS(_ bytes: [UInt8]) { serveHTTP(bytes) }

    override func serveOpaque(_ bytes: [UInt8], referee: Intake?) {
        if bytes.isEmpty { channel.close() } else { serveHTTP(bytes) }
    }
}
