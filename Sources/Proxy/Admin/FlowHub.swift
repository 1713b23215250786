/// Brings finished requests and connections to those who listen to `/flows`. The workers send none while nobody does.
final class FlowHub {
    private var subscriptions: [FlowSubscription] = []
    /// Has the workers send flows, or stop it.
    var tap: ((Bool) -> Void)?
    /// Lines that slow readers have cost.
    fileprivate(set) var dropped: UInt64 = 0

    /// Listeners at once; the other connections of the monitor port belong to probes.
    static let maximumListeners = 8

    /// nil when there are too many already.
    func subscribe(_ filter: FlowFilter) -> FlowSubscription? {
        subscriptions.count < FlowHub.maximumListeners ? FlowSubscription(filter, self) : nil
    }

    /// - Parameter missed: how many a worker has dropped before these; nobody knows which filters would have let them by.
    func publish(_ flows: [Flow], missed: Int) {
        for subscription in subscriptions { subscription.offer(flows, missed: missed) }
    }

    fileprivate func started(_ subscription: FlowSubscription) {
        subscriptions.append(subscription)
        if subscriptions.count == 1 { tap?(true) }
    }

    fileprivate func stopped(_ subscription: FlowSubscription) {
        subscriptions.removeAll { $0 === subscription }
        if subscriptions.isEmpty { tap?(false) }
    }

    fileprivate func lost(_ count: Int) { dropped += UInt64(count) }
}

/// One listener to `/flows`. A slow one loses lines, and reads how many.
final class FlowSubscription: ServiceStream {
    private let filter: FlowFilter
    private let hub: FlowHub
    private weak var channel: Channel?
    private var lost = 0

    /// Bytes that wait for a reader at most.
    static let maximumQueuedBytes = 262_144

    fileprivate init(_ filter: FlowFilter, _ hub: FlowHub) {
        self.filter = filter
        self.hub = hub
    }

    override func start(_ channel: Channel) {
        self.channel = channel
        hub.started(self)
    }

    override func stop() {
        channel = nil
        hub.stopped(self)
    }

    fileprivate func offer(_ flows: [Flow], missed: Int) {
        guard let channel, channel.isOpen else { return }
        lost += missed
        // With lines still in the queue, the reader hears of a loss when it has taken them.
        var lines = channel.queuedBytes == 0 ? takeLoss() : []
        for flow in flows where filter.admits(flow) {
            if channel.queuedBytes + lines.count > FlowSubscription.maximumQueuedBytes {
                lost += 1
                hub.lost(1)
            } else {
                lines += flow.line
            }
        }
        send(lines)
        if channel.queuedBytes == 0 { send(takeLoss()) }
    }

    /// The reader has taken everything.
    override func drained() { send(takeLoss()) }

    /// The line that says how many are missing; nothing when none are.
    private func takeLoss() -> [UInt8] {
        guard lost > 0 else { return [] }
        var json = JSONWriter()
        json.object { $0.field("dropped", Int64(lost)) }
        lost = 0
        return json.bytes + [0x0a]
    }

    private func send(_ lines: [UInt8]) {
        guard !lines.isEmpty, let channel else { return }
        if case .failed = channel.write(lines.span) {
            stop()
            channel.close()
        }
    }
}
