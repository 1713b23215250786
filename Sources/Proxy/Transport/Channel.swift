import Addressing

/// One connection: its wire, the bytes it could not send yet, and what its user wants of it.
///
/// Writes go to the kernel at once; only what it refuses is kept, so a connection at rest holds no buffer.
/// Reading can be paused, which is how a slow reader on one side slows the writer on the other.
final class Channel: EventHandler {
    enum Phase { case connecting, handshaking, open, closed }
    enum ReadOutcome { case bytes(Int), wouldBlock, end, failed(ChannelError) }
    enum WriteOutcome { case sent, queued, failed(ChannelError) }

    /// Reads per readiness before other connections get their turn: at 16 KiB a record, a quarter of a megabyte.
    static let readsPerTurn = 16

    private let reactor: Reactor
    /// nil before there is a socket, and after. For this file and Channel+TLS only.
    var wire: Wire?
    /// What the TLS session was made from.
    private(set) var tlsContext: TLSContext?
    private(set) var phase: Phase
    var user: ChannelUser?
    /// Called once when the connection has been closed.
    var onClose: (() -> Void)?
    /// False for one that this process has opened.
    let isAccepted: Bool
    var direction: Direction
    /// When it was accepted, or the connect began.
    let startedAt: Int64

    private var backlog = Backlog()
    private var interest: PollInterest
    private(set) var isReading = true
    private var blocksOnWrite = false
    /// The last read found nothing, and no event has come since.
    private var isDry = false
    private var writeSideIsShut = false
    /// close_notify has not gone to the kernel yet.
    private var owesGoodbye = false
    private var afterDrain = AfterDrain.nothing

    /// Seconds since the epoch when the peer's certificate expires; `.max` without one.
    private(set) var peerExpiry = Int64.max
    /// When, by the monotonic clock, the connection is cut because its peer would be refused by now; `.max` for never.
    private(set) var endsAt = Int64.max

    private enum AfterDrain { case nothing, shutWrite, close }

    /// The other end: the peer that connected, or the address connected to.
    private(set) var remote: Endpoint
    private var connector: Connector?

    // MARK: making one

    /// Takes over an accepted connection.
    init(accepted socket: consuming Descriptor, from remote: Endpoint, in reactor: Reactor) throws(SystemError) {
        self.reactor = reactor
        self.remote = remote
        isAccepted = true
        direction = .inbound
        startedAt = reactor.now
        let raw = socket.raw
        wire = Wire(socket)
        phase = .open
        interest = PollInterest(.readable)
        super.init()
        try reactor.register(self, raw, interest.events)
    }

    /// Starts to resolve and to connect; `channelOpened` or `channelFailed` follows, never before this returns.
    init(
        connectingTo target: ConnectTarget, offering offer: ProtocolOffer = .nothing, in reactor: Reactor
    ) throws(ChannelError) {
        self.reactor = reactor
        isAccepted = false
        direction = target.direction
        startedAt = reactor.now
        remote = Endpoint(.anyV4, 0)
        phase = .connecting
        interest = PollInterest(.writable)
        super.init()
        let connector = Connector(target, offering: offer, for: self, in: reactor)
        try connector.start()
        self.connector = connector
    }

    // MARK: what the user asks

    var isOpen: Bool { phase == .open }
    var isHandshaking: Bool { phase == .handshaking }
    var queuedBytes: Int { backlog.count }
    /// All that was to be said has gone to the kernel, the goodbye too.
    var isDrained: Bool { backlog.isEmpty && !owesGoodbye }
    /// With what the kernel holds and the peer has not acknowledged.
    var unsentBytes: Int {
        guard let unacknowledged = wire?.unacknowledgedBytes else { return 0 }
        return unacknowledged + backlog.count
    }
    /// Decrypted or buffered bytes wait in memory, where epoll cannot see them.
    ///
    /// A record that has come in part counts as pending for OpenSSL, which reads ahead; after a read that found nothing
    /// whole, only the socket can tell of more.
    var hasUnread: Bool { !isDry && (wire?.hasPending ?? false) }
    /// No other request may begin on it.
    var isEnding: Bool { endsAt != .max }
    var originalDestination: Endpoint? { wire?.localName ?? nil }

    /// The first byte that waits on the socket, left in place.
    func peekFirstByte() -> Wire.PeekOutcome { wire?.peekFirstByte() ?? .end }

    /// Makes an accepted connection the server side of TLS; `channelOpened` or `channelFailed` follows.
    func startTLS(_ context: TLSContext, timeout: Int64) {
        guard phase == .open else { return }
        do throws(TLSError) {
            try wire?.startTLS(serverSide: context)
        } catch {
            fail(.handshake(error))
            return
        }
        tlsContext = context
        phase = .handshaking
        reactor.setDeadline(self, after: timeout)
        continueHandshake()
    }

    /// Makes a plain connection the client side of TLS; `channelOpened` or `channelFailed` follows, never before this
    /// returns.
    func startTLS(
        _ origination: TLSOrigination, offering offer: ProtocolOffer, timeout: Int64
    ) throws(ChannelError) {
        guard phase == .open else { return }
        try beginTLS(origination, offering: offer, timeout: timeout)
        isReading = true
        updateInterest()
        reactor.later(self)
    }

    /// Reads once into the start of the buffer.
    func read(into buffer: inout [UInt8]) -> ReadOutcome {
        switch wire?.read(into: &buffer) {
        case .bytes(let count): return .bytes(count)
        case .wantsRead: isDry = true
        case .wantsWrite:
            blocksOnWrite = true
            updateInterest()
        case .end, nil: return .end
        case .failed(let error): return .failed(error)
        }
        return .wouldBlock
    }

    /// Sends what the kernel takes and keeps the rest. Before the connection stands, it keeps everything.
    ///
    /// A failure is the answer, not a callback: the caller is in the middle of something.
    func write(_ bytes: Span<UInt8>) -> WriteOutcome {
        guard phase == .open, backlog.isEmpty else {
            guard phase != .closed else { return .failed(.brokenPipe) }
            backlog.append(bytes)
            return .queued
        }
        var offset = 0
        while offset < bytes.count {
            switch wire?.send(bytes.extracting(offset...)) {
            case .sent(let count): offset += count
            case .wouldBlock:
                backlog.append(bytes.extracting(offset...))
                updateInterest()
                return .queued
            case .failed(let error): return .failed(error)
            case nil: return .failed(.brokenPipe)
            }
        }
        return .sent
    }

    func pauseReading() {
        guard isReading else { return }
        isReading = false
        updateInterest()
    }

    func resumeReading() {
        guard !isReading, phase != .closed else { return }
        isReading = true
        updateInterest()
        if phase == .open, hasUnread { reactor.later(self) }
    }

    /// Has the user called again at the end of this turn, as if bytes had come.
    func readLater() { if phase == .open { reactor.later(self) } }

    /// Lets the user finish what runs; what is left at the given time is to be cut.
    func end(at time: Int64) {
        endsAt = time
        user?.channelDraining(self)
    }

    /// Tells the user that the connection is of no more use.
    func giveUp(_ error: ChannelError) { fail(error) }

    func setDeadline(after microseconds: Int64) { reactor.setDeadline(self, after: microseconds) }
    /// Moves the deadline forward, if it is later or there is none.
    func hurry(within microseconds: Int64) {
        if reactor.now + microseconds < deadline { setDeadline(after: microseconds) }
    }
    func clearDeadline() { reactor.clearDeadline(self) }

    /// Says that nothing more will be sent: close_notify under TLS, FIN without, after what is queued.
    func shutWrite() {
        guard phase != .closed, !writeSideIsShut else { return }
        guard phase == .open, backlog.isEmpty else {
            afterDrain = .shutWrite
            return
        }
        writeSideIsShut = true
        sayGoodbye()
    }

    private func sayGoodbye() {
        owesGoodbye = wire?.sayGoodbye() == false
        guard owesGoodbye else { return }
        blocksOnWrite = true
        updateInterest()
    }

    /// Closes now; what is queued is lost.
    func close() {
        guard phase != .closed else { return }
        if phase == .open, backlog.isEmpty, !writeSideIsShut { wire?.hintGoodbye() }
        release()
    }

    /// Closes when what is queued has been sent, or the deadline passes; answers no more events.
    func closeWhenDrained(within microseconds: Int64) {
        guard phase == .open, !backlog.isEmpty else { return close() }
        user = nil
        isReading = false
        afterDrain = .close
        updateInterest()
        setDeadline(after: microseconds)
    }

    /// Closes with a reset, so that the peer cannot take a cut-off message for a whole one.
    func abort() {
        guard phase != .closed else { return }
        wire?.resetOnClose()
        release()
    }

    // MARK: events

    override func ready(_ readiness: Readiness) {
        switch phase {
        case .handshaking: continueHandshake()
        case .open: transfer(readiness)
        case .connecting, .closed: break
        }
    }

    override func deadlineReached() {
        switch phase {
        case .handshaking: fail(.handshakeTimedOut)
        case .open:
            if afterDrain == .close { return abort() }
            user?.channelDeadline(self)
        case .connecting, .closed: break
        }
    }

    private func transfer(_ readiness: Readiness) {
        if readiness != .writable { isDry = false }
        if readiness.contains(.writable) {
            blocksOnWrite = false
            if owesGoodbye {
                sayGoodbye()
                if !owesGoodbye { user?.channelDrained(self) }
            } else {
                flush()
            }
            guard phase == .open else { return }
            updateInterest()
        }
        guard isReading else {
            if !readiness.isDisjoint(with: [.hangUp, .error]) { hungUpUnread() }
            if phase == .open, readiness.contains(.error) { user?.channelReset(self) }
            return
        }
        guard readiness != .writable || hasUnread else { return }
        for _ in 0..<Channel.readsPerTurn {
            user?.channelReadable(self)
            guard phase == .open, isReading, hasUnread else { return }
        }
        reactor.later(self)
    }

    private func hungUpUnread() {
        // Level-triggered epoll repeats EPOLLHUP whatever the interest. What the peer sent before is still in the
        // socket and is read when reading resumes; until then the descriptor is not polled.
        guard backlog.isEmpty else { return flush() }
        guard interest.isPolled else { return }
        interest.muted()
        if let raw = wire?.raw { reactor.mute(raw) }
    }

    private func updateInterest() {
        guard phase != .closed, let raw = wire?.raw else { return }
        var wanted: Readiness = isReading ? .readable : []
        if !backlog.isEmpty || blocksOnWrite { wanted.insert(.writable) }
        switch interest.change(to: wanted) {
        case .none: return
        case .modify: reactor.setInterest(self, raw, wanted)
        case .unmute:
            do throws(SystemError) { try reactor.unmute(self, raw, wanted) } catch { return fail(.broken(error)) }
        }
        interest.changed(to: wanted)
    }

    // MARK: what the connector tells

    func willDial(_ endpoint: Endpoint) { remote = endpoint }

    func connected(_ fresh: consuming Descriptor, _ target: ConnectTarget, offering offer: ProtocolOffer) {
        wire = Wire(fresh)
        connector = nil
        guard let origination = target.tls else { return opened() }
        do throws(ChannelError) {
            try beginTLS(origination, offering: offer, timeout: target.timeouts.handshake)
        } catch {
            return fail(error)
        }
        continueHandshake()
    }

    func connectFailed(_ error: ChannelError) {
        connector = nil
        fail(error)
    }

    // MARK: handshake

    private func beginTLS(
        _ origination: TLSOrigination, offering offer: ProtocolOffer, timeout: Int64
    ) throws(ChannelError) {
        do throws(TLSError) {
            tlsContext = origination.context
            try wire?.startTLS(origination, offering: offer)
        } catch {
            throw .handshake(error)
        }
        phase = .handshaking
        reactor.setDeadline(self, after: timeout)
    }

    private func continueHandshake() {
        guard let outcome = wire?.handshake() else { return }
        switch outcome {
        case .done: opened()
        case .wantsRead:
            blocksOnWrite = false
            updateInterest()
        case .wantsWrite:
            blocksOnWrite = true
            updateInterest()
        case .failed(let error): fail(.handshake(error))
        }
    }

    private func opened() {
        phase = .open
        blocksOnWrite = false
        clearDeadline()
        if let expiry = wire?.peerExpiry { peerExpiry = expiry }
        if !backlog.isEmpty {
            flush()
        } else if afterDrain == .shutWrite {
            afterDrain = .nothing
            shutWrite()
        }
        guard phase == .open else { return }
        updateInterest()
        user?.channelOpened(self)
        if phase == .open, isReading, hasUnread { reactor.later(self) }
    }

    // MARK: sending

    private func flush() {
        guard !backlog.isEmpty else { return }
        switch wire?.send(&backlog) {
        case .drained: drained()
        case .wouldBlock, nil: break
        case .failed(let error): fail(error)
        }
    }

    private func drained() {
        switch afterDrain {
        case .nothing: user?.channelDrained(self)
        case .shutWrite:
            afterDrain = .nothing
            shutWrite()
            user?.channelDrained(self)
        case .close: close()
        }
    }

    // MARK: ending

    private func fail(_ error: ChannelError) {
        guard phase != .closed else { return }
        guard let user else { return release() }
        backlog = Backlog()
        user.channelFailed(self, error)
    }

    private func release() {
        phase = .closed
        connector?.cancel()
        connector = nil
        if isRegistered, let raw = wire?.raw { reactor.deregister(self, raw, isPolled: interest.isPolled) }
        wire = nil
        tlsContext = nil
        backlog = Backlog()
        user = nil
        onClose?()
        onClose = nil
    }

    /// Ends TLS after a failed handshake; what comes now is only read to be discarded.
    func dropTLS() {
        guard phase == .handshaking else { return }
        wire?.dropTLS()
        phase = .open
        blocksOnWrite = false
        updateInterest()
    }
}
