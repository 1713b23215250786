/// What gives a channel its meaning: an intake, one side of an HTTP exchange, one end of a relay.
///
/// A class with overridden methods: one virtual call per event, no existential. A channel has one user at a time
/// and may be handed from one to the next.
package class ChannelUser {
    /// Connected, and the TLS handshake done where there is one.
    func channelOpened(_ channel: Channel) {}
    /// Bytes, the end or an error can be read. Take one `read`; the channel calls again while more waits.
    func channelReadable(_ channel: Channel) {}
    /// Everything that was queued has gone to the kernel.
    func channelDrained(_ channel: Channel) {}
    /// The connect, the handshake or a queued write failed. The channel is of no more use; close it.
    func channelFailed(_ channel: Channel, _ error: ChannelError) {}
    /// The peer has reset the connection while reading was paused. What it sent before can still be read.
    func channelReset(_ channel: Channel) {}
    /// The deadline the user set has passed.
    func channelDeadline(_ channel: Channel) {}
    /// What the connection carries, for the monitor port.
    var kind: StaticString { "closing" }
    /// What is known of a downstream connection, for the monitor port.
    var connectionRecord: ConnectionRecord? { nil }
    /// The process is going away, or the peer would be refused by now: finish what runs, start nothing new.
    func channelDraining(_ channel: Channel) {}
}
