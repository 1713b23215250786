import Addressing

/// A connection without TLS on a captured port where the application's own probes are let through:
/// INBOUND_PLAINTEXT=probes.
///
/// Nothing that a stranger says reaches the application. Here it is only found out whether exactly a listed probe is asked;
/// the sidecar then puts that question itself, and the stranger hears whether it passed. Anything else is refused, and
/// what comes after the question is not read.
class PlaintextProbe: ChannelUser {
    final let worker: Worker
    final let channel: Channel
    final let original: Endpoint
    final let probes: [AppProbe]
    private(set) final var record: ConnectionRecord

    /// A kubelet's request has some two hundred.
    static let maximumBytes = 8_192

    /// - Parameter probes: those of the port.
    init(_ worker: Worker, _ channel: Channel, to original: Endpoint, _ probes: [AppProbe], _ record: ConnectionRecord)
    {
        self.worker = worker
        self.channel = channel
        self.original = original
        self.probes = probes
        self.record = record
    }

    final func begin() {
        channel.user = self
        channel.setDeadline(after: worker.headTime)
        channel.readLater()
    }

    /// Takes bytes; what is refused or asked is over with that.
    func received(_ bytes: Span<UInt8>) { preconditionFailure("abstract") }
    /// Says to the stranger what came of it, and closes.
    func answer(_ hasPassed: Bool) { preconditionFailure("abstract") }

    final func ask(_ probe: AppProbe) {
        channel.pauseReading()
        channel.clearDeadline()  // the question has one
        worker.prober.ask(probe, pod: original.address) { [weak self] in self?.heard($0, probe) }
    }

    private final func heard(_ outcome: ProbeOutcome, _ probe: AppProbe) {
        guard channel.isOpen else { return }
        worker.explain(probe, outcome)
        switch outcome {
        case .passed:
            worker.counters.plaintext.learn(original.port)
            worker.counters.plaintext.probed(original.port)
            worker.log(record)
            answer(true)
        case .failed(let sentence):
            worker.counters.plaintext.probed(original.port)
            record.reason = sentence
            worker.log(record)
            answer(false)
        }
    }

    final func refuse(_ reason: String) {
        worker.counters.plaintext.refused(original.port)
        worker.explainPlaintext(from: channel.remote, to: original, because: reason)
        channel.abort()
    }

    override func channelReadable(_ channel: Channel) {
        var inbox = worker.takeInbox()
        defer { worker.giveBack(inbox) }
        switch channel.read(into: &inbox) {
        case .bytes(let count): received(inbox.span.extracting(0..<count))
        case .wouldBlock: break
        case .end: refuse("the connection ended before a probe was asked")
        case .failed: channel.abort()
        }
    }

    override func channelDraining(_ channel: Channel) {
        if channel.isReading { channel.hurry(within: Limits.drainOpeningMicroseconds) }
    }

    override func channelFailed(_ channel: Channel, _ error: ChannelError) { channel.abort() }
    override func channelReset(_ channel: Channel) { channel.abort() }
    override func channelDeadline(_ channel: Channel) { channel.abort() }
    override var kind: StaticString { "probe" }
    override var connectionRecord: ConnectionRecord? { record }
}
