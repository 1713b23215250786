import Addressing
import Logging

/// What a worker counts and tells of its connections, besides the log.
extension Worker {
    // MARK: connections outward

    /// An upstream connection stands, its handshake done where there is one. Called again when TLS begins on it later.
    func upstreamOpened(_ channel: Channel) {
        if channel.isTLS { counters.handshook(.client, isResumed: channel.isResumed) }
        guard channel.onClose == nil else { return }
        let direction = channel.direction
        counters.upstreamOpened(direction, after: now - channel.startedAt)
        if direction == .inbound { counters.plaintext.learn(channel.remote.port) }
        channel.onClose = { [unowned self] in counters.upstreamClosed(direction) }
    }

    /// Reports what is a failed handshake with a server; the rest is the exchange's or the relay's to tell.
    func upstreamFailed(_ channel: Channel, _ error: ChannelError) {
        switch error {
        case .handshake, .handshakeTimedOut: handshakeFailed(.client, channel, error)
        // In TLS 1.3 a server refuses a client's certificate when the client is done already.
        case .tls(let error) where error.reason == .peerAlert: handshakeFailed(.client, channel, .handshake(error))
        case .tls, .connect, .connectTimedOut, .noAddress, .lookUpTimedOut, .loop, .broken, .peerOutlived: break
        }
    }

    // MARK: failed handshakes

    func handshakeFailed(_ side: TLSSide, _ channel: Channel, _ error: ChannelError) {
        let reason = error.tlsReason
        counters.handshakeFailed(side, reason)
        guard handshakeReports.admits(at: now) else {
            counters.handshakeReportsDropped += 1
            return
        }
        logger.info(
            "handshake failed",
            metadata: [
                "side": "\(side.name)", "reason": "\(reason.rawValue)", "detail": "\(error.sentence)",
                "peer": "\(channel.remote)",
            ])
        report(
            .handshakeFailed(
                HandshakeFailure(
                    time: now + currentWallOffset(), side: side, direction: channel.direction, peer: channel.remote,
                    serverName: channel.serverName, offered: channel.offeredVersions, reason: reason,
                    detail: error.sentence, certificate: error.certificate)))
    }

    // MARK: reports

    func report(_ report: WorkerReport) { control.send(.report(worker: index, report)) }

    func describe() {
        var descriptions: [ConnectionDescription] = []
        var omitted = 0
        for case let channel as Channel in reactor.registeredHandlers {
            if descriptions.count < ConnectionDescription.maximumPerWorker {
                descriptions.append(ConnectionDescription(channel, at: now))
            } else {
                omitted += 1
            }
        }
        report(.described(descriptions, omitted: omitted))
    }

    func tapHasRoom() -> Bool {
        if tap.hasRoom { return true }
        counters.flowsDropped += 1
        tap.miss()
        return false
    }
}
