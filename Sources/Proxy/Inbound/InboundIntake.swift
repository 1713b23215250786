import Addressing

/// An accepted inbound connection: mTLS from a peer, on the explicit port or captured on its way to the application.
final class InboundIntake: Intake {
    /// Where the peer meant to go; nil on the explicit port.
    private let original: Endpoint?
    private var isPlaintext = false
    private var identity: PeerIdentity?

    init(_ worker: Worker, _ channel: Channel, original: Endpoint?) {
        self.original = original
        super.init(worker, channel, .inbound)
    }

    func begin() {
        channel.user = self
        if let original, worker.isOwnPort(original.port) { return channel.abort() }
        if original == nil { return handshake() }
        // The handshake must find its first byte still in the socket, so this one only looks.
        channel.setDeadline(after: worker.timeouts.handshake)
        isPeeking = true
    }

    private var isPeeking = false

    override func channelReadable(_ channel: Channel) {
        guard isPeeking else { return super.channelReadable(channel) }
        switch channel.peekFirstByte() {
        case .byte(ProtocolSniffer.tlsHandshake):
            isPeeking = false
            handshake()
        case .byte:
            isPeeking = false
            acceptPlaintext()
        case .wouldBlock: break
        case .end: channel.close()
        case .failed: channel.abort()
        }
    }

    override func channelDeadline(_ channel: Channel) {
        isPeeking ? channel.abort() : super.channelDeadline(channel)
    }

    private func handshake() {
        guard let context = worker.serverContext else { return channel.abort() }
        channel.startTLS(context, timeout: worker.timeouts.handshake)
    }

    override func channelOpened(_ channel: Channel) {
        worker.counters.handshook(.server, isResumed: channel.isResumed)
        worker.handshakeEnded()
        identity = channel.peerIdentity
        record.peerIdentity = Array((identity?.summary.displayName ?? "").utf8)
        switch channel.negotiatedProtocol {
        case "h2": serveHTTP2([])
        case "http/1.1" where original == nil: serveHTTP([])
        case _:
            awaitFirstBytes()
            // On the explicit port it is HTTP or nothing: no server behind it could be the first to speak.
            guard original == nil else { break }
            channel.setDeadline(after: worker.openingTime)
        }
    }

    override func channelFailed(_ channel: Channel, _ error: ChannelError) {
        worker.handshakeFailed(.server, channel, error)
        if case .handshakeTimedOut = error { return channel.close() }  // to who is silent there is nothing to say
        // The peer must get to read the alert, although more of its bytes may be on the way.
        channel.dropTLS()
        LingeringClose.start(on: channel, worker)
    }

    override func channelDraining(_ channel: Channel) {
        // An explicit client that stands and says nothing is as one between two requests.
        if original == nil, channel.isOpen, isSilent { return channel.hurry(within: Limits.drainGraceMicroseconds) }
        if isPeeking { return channel.hurry(within: Limits.drainOpeningMicroseconds) }
        super.channelDraining(channel)
    }

    private func acceptPlaintext() {
        guard let original else { return channel.abort() }
        switch worker.configuration.inbound.plaintext {
        case .allow:
            isPlaintext = true
            record.plaintextPort = original.port
            awaitFirstBytes()
            channel.readLater()
        case .probes:
            let probes = worker.configuration.appProbes.on(original.port)
            guard !probes.isEmpty else { return refusePlaintext(original, "APP_PROBES lists no probe of this port") }
            PlaintextHTTPProbe(worker, channel, to: original, probes, record).begin()
        case .deny: refusePlaintext(original, "INBOUND_PLAINTEXT=deny")
        }
    }

    private func refusePlaintext(_ original: Endpoint, _ reason: String) {
        worker.counters.plaintext.refused(original.port)
        worker.explainPlaintext(from: channel.remote, to: original, because: reason)
        channel.abort()
    }

    // MARK: what it turned out to be

    override func serveHTTP(_ bytes: [UInt8]) {
        HTTP1Downstream(channel, routing(), worker, record: record).start(early: bytes)
    }

    override func serveHTTP2(_ bytes: [UInt8]) { startHTTP2(bytes, routing()) }

    private func routing() -> InboundRouting {
        let source = worker.configuration.inbound.preserveSourceIP ? channel.remote.address : nil
        return InboundRouting(
            worker, peer: channel.remote, identity: identity, isTLS: !isPlaintext,
            application: original.map { worker.upstreams.application($0, source: source) })
    }

    override func serveTLS(_ bytes: [UInt8]) { serveOpaque(bytes, referee: nil) }

    override func serveOpaque(_ bytes: [UInt8], referee: Intake?) {
        guard let original else { return channel.close() }
        let source = worker.configuration.inbound.preserveSourceIP ? channel.remote.address : nil
        relay(bytes, to: worker.upstreams.applicationTarget(original, source: source), referee: referee)
    }
}
