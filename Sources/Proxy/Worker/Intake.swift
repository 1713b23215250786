import Addressing

/// An accepted connection until its protocol is known: what it is by its first bytes, and to whom it is handed.
///
/// A client that stays silent may be waiting for the server to speak first, so after a moment the connection becomes
/// an opaque relay. Should the client then be the first to speak after all, its bytes are judged again: a request
/// must not slip past the HTTP rules by coming late.
class Intake: ChannelUser {
    final let worker: Worker
    final let channel: Channel
    final var record: ConnectionRecord
    private var early: [UInt8] = []
    final var isSilent: Bool { early.isEmpty }
    /// The first bytes have a deadline, which more of them do not put off.
    private var isHurried = false
    /// Why the relay that a silent client was given has failed.
    private var guessFailure: ChannelError?

    init(_ worker: Worker, _ channel: Channel, _ direction: Direction) {
        self.worker = worker
        self.channel = channel
        record = ConnectionRecord(direction, channel.remote, at: worker.now)
    }

    static func start(_ channel: Channel, _ role: ListenerRole, _ worker: Worker) {
        switch role {
        case .explicitInbound: InboundIntake(worker, channel, original: nil).begin()
        case .capturedInbound:
            guard let original = channel.originalDestination else { return channel.abort() }
            InboundIntake(worker, channel, original: original).begin()
        case .capturedOutbound:
            guard let original = channel.originalDestination else { return channel.abort() }
            OutboundIntake(worker, channel, original: original).begin()
        case .forwardProxy: ForwardIntake(worker, channel).begin()
        }
    }

    // MARK: what the two directions decide

    func serveHTTP(_ bytes: [UInt8]) { preconditionFailure("an intake knows its direction") }
    func serveHTTP2(_ bytes: [UInt8]) { preconditionFailure("an intake knows its direction") }
    func serveTLS(_ bytes: [UInt8]) { preconditionFailure("an intake knows its direction") }
    /// - Parameter referee: whom to ask when a silent client speaks before the server.
    func serveOpaque(_ bytes: [UInt8], referee: Intake?) { preconditionFailure("an intake knows its direction") }

    func classify(_ bytes: Span<UInt8>) -> ProtocolSniffer.Verdict { ProtocolSniffer.classify(bytes) }

    // MARK: first bytes

    final func awaitFirstBytes() {
        channel.user = self
        channel.setDeadline(after: Limits.silenceMicroseconds)
    }

    override func channelReadable(_ channel: Channel) {
        var inbox = worker.takeInbox()
        defer { worker.giveBack(inbox) }
        switch channel.read(into: &inbox) {
        case .bytes(let count):
            early.append(contentsOf: inbox[0..<count])
            decide()
        case .wouldBlock: break
        case .end:
            guard early.isEmpty else { return decide(isEnd: true) }
            reportGuess()
            channel.close()
        case .failed: channel.abort()
        }
    }

    private final func decide(isEnd: Bool = false) {
        var bytes: [UInt8] = []
        swap(&bytes, &early)
        switch classify(bytes.span) {
        case .tls: serveTLS(bytes)
        case .http1: serveHTTP(bytes)
        case .http2: serveHTTP2(bytes)
        case .opaque: serveOpaque(bytes, referee: nil)
        case .undecided:
            guard !isEnd else { return serveOpaque(bytes, referee: nil) }
            early = bytes
            guard !isHurried else { return }
            isHurried = true
            channel.setDeadline(after: worker.headTime)
        }
    }

    /// Who has begun may go on, for a while; who is silent is heard a moment longer at most.
    override func channelDraining(_ channel: Channel) {
        if channel.isHandshaking || !early.isEmpty { channel.hurry(within: Limits.drainOpeningMicroseconds) }
    }

    override func channelDeadline(_ channel: Channel) {
        // Bytes that may be half a request line are never relayed unseen.
        guard early.isEmpty else { return channel.abort() }
        guard guessFailure == nil else {
            reportGuess()
            return channel.abort()
        }
        serveOpaque([], referee: self)
    }

    override func channelFailed(_ channel: Channel, _ error: ChannelError) { channel.abort() }

    override var kind: StaticString { "undecided" }
    override var connectionRecord: ConnectionRecord? { record }

    // MARK: as referee of a relay

    /// Whether a client's first bytes are anything but opaque.
    final func reconsiders(_ bytes: Span<UInt8>) -> Bool { classify(bytes) != .opaque }

    /// Takes the client back from a relay whose server has not spoken.
    final func takeBack(_ channel: Channel, _ bytes: Span<UInt8>) {
        channel.user = self
        unsafe bytes.withUnsafeBufferPointer { unsafe early.append(contentsOf: $0) }
        decide()
    }

    /// Takes a silent client back from a relay whose server would not have the TLS made for it. The client may be
    /// about to speak TLS itself, only late; it is waited for once more.
    final func takeBack(_ channel: Channel, after failure: ChannelError) {
        guessFailure = failure
        awaitFirstBytes()
        channel.setDeadline(after: Limits.secondSilenceMicroseconds)
        channel.resumeReading()
    }

    private final func reportGuess() {
        guard let guessFailure else { return }
        record.note(guessFailure)
        worker.log(record)
    }

    // MARK: shared by the directions

    final func startHTTP2(_ bytes: [UInt8], _ routing: RequestRouting) {
        guard let downstream = HTTP2Downstream(channel, routing, worker, record: record) else { return channel.abort() }
        downstream.start(early: bytes)
    }

    /// Relays to a target without looking at the bytes.
    final func relay(
        _ bytes: [UInt8], to target: ConnectTarget, offering offer: ProtocolOffer = .nothing, referee: Intake?
    ) {
        do throws(ChannelError) {
            let server = try Channel(connectingTo: target, offering: offer, in: worker.reactor)
            relay(bytes, over: server, referee: referee)
        } catch {
            record.note(error)
            worker.counters.upstreamFailed(record.direction, UpstreamErrorReason(error))
            worker.log(record)
            channel.abort()
        }
    }

    final func relay(_ bytes: [UInt8], over server: Channel, referee: Intake?) {
        Relay(worker, client: channel, server: server, referee: referee, record: record).start(early: bytes)
    }
}
