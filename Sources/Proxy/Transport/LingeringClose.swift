/// Closes a connection whose peer may still be sending.
///
/// Closing a socket with unread bytes makes the kernel send RST, which can destroy the answer on its way to the
/// peer (RFC 9112 section 9.6). So: say that nothing more will come, read on and discard, then close.
final class LingeringClose: ChannelUser {
    private let worker: Worker
    private var remaining = LingeringClose.maximumBytes

    /// How long and how much of a peer's rest is read.
    static let microseconds: Int64 = 2_000_000
    static let maximumBytes = 1 << 20

    private init(_ worker: Worker) { self.worker = worker }

    static func start(on channel: Channel, _ worker: Worker) {
        guard channel.isOpen else { return channel.close() }
        channel.user = LingeringClose(worker)
        channel.shutWrite()
        channel.setDeadline(after: microseconds)
        channel.resumeReading()
    }

    override func channelReadable(_ channel: Channel) {
        var inbox = worker.takeInbox()
        let outcome = channel.read(into: &inbox)
        worker.giveBack(inbox)
        switch outcome {
        case .bytes(let count):
            remaining -= count
            if remaining <= 0 { channel.close() }
        case .wouldBlock: break
        case .end, .failed: channel.closeWhenDrained(within: LingeringClose.microseconds)
        }
    }

    override func channelFailed(_ channel: Channel, _ error: ChannelError) { channel.close() }
    override func channelDeadline(_ channel: Channel) { channel.close() }
}
