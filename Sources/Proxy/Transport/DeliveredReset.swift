import CLinux

/// Ends a connection whose other half has failed: the peer gets everything that was meant for it, then a reset, so that
/// it cannot take what it has for all there was.
///
/// A reset throws away what the kernel has not sent, so it waits until the kernel has.
final class DeliveredReset: ChannelUser {
    private var pause = DeliveredReset.firstPause
    private var remaining: Int64

    /// Microseconds between two looks at what is unsent, at first and at most.
    static let firstPause: Int64 = 1_000
    static let longestPause: Int64 = 1_000_000

    private init(within microseconds: Int64) { remaining = microseconds }

    static func start(on channel: Channel, within microseconds: Int64) {
        guard channel.isOpen, channel.unsentBytes > 0 else { return channel.abort() }
        channel.pauseReading()
        let user = DeliveredReset(within: microseconds)
        channel.user = user
        channel.setDeadline(after: user.pause)
    }

    override func channelDeadline(_ channel: Channel) {
        remaining -= pause
        guard remaining > 0, channel.unsentBytes > 0 else { return channel.abort() }
        pause = min(pause * 2, DeliveredReset.longestPause)
        channel.setDeadline(after: pause)
    }

    override func channelFailed(_ channel: Channel, _ error: ChannelError) { channel.abort() }
    override func channelReset(_ channel: Channel) { channel.abort() }
}
