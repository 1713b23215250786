/// An answer without an end: what feeds it, told when to start and when nobody listens any more.
class ServiceStream {
    /// The head is on its way; lines may be written to the channel.
    func start(_ channel: Channel) {}
    /// The client is gone.
    func stop() {}
    /// The client has taken everything.
    func drained() {}
}
