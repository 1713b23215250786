/// An HTTP/2 connection on a channel: bytes to events, streams' output to the channel, and its life by the clock.
///
/// Subclasses are the server's side, `HTTP2Downstream`, and the client's, `HTTP2Upstream`. What the streams of one turn of
/// the loop have to say goes out together at its end: one write for many small answers.
class HTTP2Connection: ChannelUser {
    final let worker: Worker
    final let channel: Channel
    final let session: HTTP2Session
    private final var isFlushScheduled = false
    /// The session has not broken, and the channel has taken what it was given.
    private final var isSound = true
    private final var failure: ChannelError?
    private(set) final var isOver = false
    /// The events of one read, lent to the loop that works them off.
    private final var batch = HTTP2Events()
    private final var drained: [HTTP2Slot] = []
    private final var lastHeard: Int64
    /// When a stream began or ended last.
    final var lastUse: Int64
    private final var awaitsPong = false
    /// Since when the session counts frames without use.
    private final var countedSince: Int64 = 0
    private final var isViolationCounted = false
    private final var penalty = Penalty.none

    /// What becomes of a client that broke the protocol or flooded: it hears of it late, once.
    private enum Penalty {
        case none
        /// Begins at the end of the turn, when nobody is in the middle of a write; these are the last words.
        case due([UInt8])
        case running([UInt8])
        case over

        var holdsBack: Bool {
            switch self {
            case .due, .running: true
            case .none, .over: false
            }
        }
    }

    init(_ worker: Worker, _ channel: Channel, _ session: HTTP2Session) {
        self.worker = worker
        self.channel = channel
        self.session = session
        lastHeard = worker.now
        lastUse = worker.now
    }

    // MARK: what the two sides do

    /// - Parameters:
    ///   - bytes: what the event's `data` range lies in.
    ///   - text: what the ranges of heads and trailers lie in.
    func happened(_ event: HTTP2Event, _ bytes: Span<UInt8>, _ text: Span<UInt8>) { preconditionFailure("abstract") }
    /// A stream's body has moved on.
    func bodyMoved(_ slot: HTTP2Slot) { preconditionFailure("abstract") }
    /// The connection is gone, and all its streams with it.
    func connectionEnded(_ error: ChannelError?) { preconditionFailure("abstract") }
    /// When the side wants to be asked again, in microseconds from now; called when that time has come.
    func nextDeadline() -> Int64 { preconditionFailure("abstract") }

    // MARK: reading

    override func channelReadable(_ channel: Channel) {
        var inbox = worker.takeInbox()
        switch channel.read(into: &inbox) {
        case .bytes(let count): receive(inbox.span.extracting(0..<count))
        case .wouldBlock: break
        case .end: end(nil)
        case .failed(let error): end(error)
        }
        worker.giveBack(inbox)
    }

    final func receive(_ bytes: Span<UInt8>) {
        lastHeard = worker.now
        awaitsPong = false
        if worker.now - countedSince >= Limits.floodMicroseconds {
            countedSince = worker.now
            session.forgive()
        }
        let isSound = session.receive(bytes)
        workOff(bytes)
        guard !isOver else { return }
        if !isSound {
            countViolation()
            // Whatever follows is not for this session, and a peer that does not read would be listened to for ever.
            if channel.isAccepted { channel.pauseReading() }
        }
        scheduleFlush()
    }

    private func workOff(_ bytes: Span<UInt8>) {
        while session.hasEvents, !isOver {
            var events = HTTP2Events()
            swap(&events, &batch)
            session.takeEvents(into: &events)
            for event in events.list where !isOver { happened(event, bytes, events.text.span) }
            swap(&events, &batch)
        }
    }

    // MARK: writing

    /// Has the output written at the end of this turn.
    ///
    /// What is large goes out now, while its buffer is in the processor's cache; what follows from that is still worked
    /// off at the end of the turn, for the caller is in the middle of something.
    final func scheduleFlush() {
        guard !isOver else { return }
        if !isFlushScheduled {
            isFlushScheduled = true
            worker.flushAtTurnEnd(self)
        }
        if session.queuedBytes >= Limits.flushBytes { write() }
    }

    private final func write() {
        guard isSound, failure == nil, !penalty.holdsBack, channel.isOpen, channel.queuedBytes < Limits.queuedBytes
        else { return }
        let writer = worker.takeWriter()
        while isSound, failure == nil, channel.queuedBytes < Limits.queuedBytes {
            writer.removeAll()
            isSound = session.output(into: writer, limit: Limits.flushBytes)
            if session.hasAccusedPeer {
                countViolation()
                if channel.isAccepted, case .none = penalty {
                    penalty = .due(writer.bytes)
                    break
                }
            }
            guard writer.count > 0 else { break }
            if case .failed(let error) = writer.withSpan({ channel.write($0) }) { failure = error }
        }
        worker.giveBack(writer)
    }

    final func flush() {
        isFlushScheduled = false
        guard !isOver, channel.isOpen else { return }
        write()
        switch penalty {
        case .due(let words): return penalize(words)
        case .running: return
        case .none, .over: break
        }
        if let failure { return end(failure) }
        let none: [UInt8] = []
        workOff(none.span)
        guard !isOver else { return }
        session.takeDrained(into: &drained)
        for slot in drained where !isOver { bodyMoved(slot) }
        guard !isOver else { return }
        if session.isOver || !isSound, channel.queuedBytes == 0 { finish() } else { rest() }
    }

    // MARK: a peer that breaks the protocol or floods

    private func countViolation() {
        guard !isViolationCounted else { return }
        isViolationCounted = true
        worker.counters.http2Violations += 1
    }

    /// Lets a client wait for the bad news, which costs nothing here. The handshake with which it comes again costs as
    /// much as dozens of requests. Its requests go on: libnghttp2 lets those run that a flood of resets has left.
    private func penalize(_ words: [UInt8]) {
        penalty = .running(words)
        channel.pauseReading()
        channel.setDeadline(after: Limits.penaltyMicroseconds)
    }

    private func penaltyIsOver(_ words: [UInt8]) {
        penalty = .over
        if case .failed(let error) = channel.write(words.span) { failure = error }
        // A client that is in the middle of a long write reads nothing before it is through.
        channel.resumeReading()
        scheduleFlush()
    }

    override func channelDrained(_ channel: Channel) { scheduleFlush() }

    // MARK: time

    /// Sets the next deadline, once nothing more is to be done now. One that stands is only moved forward: whatever else
    /// the peer says must not put off the look at streams that do not go on.
    final func rest() {
        guard !isOver, channel.isOpen else { return }
        let next = min(nextDeadline(), worker.timeouts.idle)
        if worker.now + next < channel.deadline { channel.setDeadline(after: next) }
    }

    /// When a connection without streams has been idle for long enough.
    final var idleDeadline: Int64 { max(lastUse + worker.timeouts.idle - worker.now, Limits.idleCheckMicroseconds) }

    override func channelDeadline(_ channel: Channel) {
        if case .running(let words) = penalty { return penaltyIsOver(words) }
        let silence = worker.now - lastHeard
        if channel.queuedBytes > 0 || awaitsPong, silence >= worker.timeouts.idle { return end(nil) }
        deadlinePassed()
        guard !isOver else { return }
        // A peer that is there answers (RFC 9113 section 6.7), however long its streams are silent.
        if session.activeStreams > 0, silence >= worker.timeouts.idle / 2, !awaitsPong {
            awaitsPong = true
            session.ping()
        }
        scheduleFlush()
        rest()
    }

    func deadlinePassed() { preconditionFailure("abstract") }

    // MARK: ending

    /// Says goodbye, when everything is said, and closes.
    private func finish() {
        guard !isOver else { return }
        isOver = true
        connectionEnded(nil)
        LingeringClose.start(on: channel, worker)
    }

    final func end(_ error: ChannelError?) {
        guard !isOver else { return }
        isOver = true
        connectionEnded(error)
        channel.close()
    }

    override func channelFailed(_ channel: Channel, _ error: ChannelError) { end(error) }
    override var kind: StaticString { "h2" }
    override func channelReset(_ channel: Channel) { end(nil) }
}
