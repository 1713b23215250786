/// Closes a connection whose peer may still be sending.
///
/// Closing a socket with unread bytes makes the kernel send RST, which can destroy the answer on its way to the
/// peer (RFC 9112 section 9.6). So: say that nothing more will come, read on and discard, then close.
final class LingeringClose: ChannelUser {
    private let worker: Worker
    private var remaining = LingeringClose.maximumBytes
    private var hasPeerEnded = false

    /// How long and how much of a peer's rest is read.
    static let microseconds: Int64 = 2_000_000
    static let maximumBytes = 1 << 20

    private init(_ worker: Worker) { self.worker = worker }

    static func start(on channel: Channel, _ worker: Worker) {
        guard channel.isOpen else { return channel.close() }
        channel.user = LingeringClose(worker)
        channel.shutWrite()
        // The clock for the peer's rest starts when it has our last byte on the way; until then it is a slow reader.
        channel.setDeadline(after: channel.queuedBytes > 0 ? worker.timeouts.idle : microseconds)
        channel.resumeReading()
    }

    override func channelReadable(_ channel: Channel) {
        var inbox = worker.takeInbox()
        let outcome = channel.read(into: &inbox)
        worker.giveBack(inbox)
        switch outcome {
        case .bytes(let count):
            remaining -= count
            if remaining <= 0 { peerEnded(channel) }
        case .wouldBlock: break
        case .end: peerEnded(channel)
        case .failed: channel.close()
        }
    }

    private func peerEnded(_ channel: Channel) {
        guard !channel.isDrained else { return channel.close() }
        hasPeerEnded = true
        channel.pauseReading()
    }

    override func channelDrained(_ channel: Channel) {
        if hasPeerEnded { return channel.close() }
        channel.setDeadline(after: LingeringClose.microseconds)
    }

    override func channelFailed(_ channel: Channel, _ error: ChannelError) { channel.close() }
    override func channelReset(_ channel: Channel) { channel.close() }
    override func channelDeadline(_ channel: Channel) { channel.close() }
}
