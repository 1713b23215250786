import Addressing
import CLinux
import Logging

/// One thread of the data plane: a reactor with its own TLS contexts, upstream pools, buffers and counters.
///
/// Nothing in it is shared. What other threads want of it arrives in its mailbox as a value.
final class Worker {
    /// What the control thread tells a worker.
    enum Message: Sendable {
        /// Accept from this socket. It comes as a message so that the listener is the only one to hold on to it.
        case listen(ListeningSocket)
        case upstream([Endpoint])
        /// Shake hands with these certificates from now on.
        case material(TLSMaterial)
        case ticketKeys([UInt8])
        /// The addresses of a name that this worker has asked for; empty for none.
        case addresses(of: String, [IPAddress])
        /// Answer `.counted`.
        case count
        /// Answer `.described`.
        case describe
        /// Somebody listens to `/flows`, or nobody does any more.
        case tapFlows(Bool)
        /// So many flows have been taken.
        case flowsTaken(Int)
        case logLevel(Logger.Level)
        /// Ask the clients to go; those that come are served.
        case ease
        /// Stop listening, finish what runs, then end.
        case drain
        /// End now.
        case abort
    }

    let configuration: Configuration
    let reactor: Reactor
    let timeouts: Timeouts
    private(set) var logger: Logger
    let control: Mailbox<ControlThread.Message>
    let index: Int
    private let sink: LogSink
    private let accessLog: Configuration.AccessLog

    private var material: TLSMaterial
    private(set) var serverContext: TLSContext?
    let clientContext: CurrentContext?
    /// Who this proxy is, for `By=` of X-Forwarded-Client-Cert: the first URI of its server certificate.
    var serverURI: String? { material.server?.leaf.uriNames.first }

    var requestParser: RequestParser
    var responseParser = ResponseParser()
    var requestIDs = RequestIDs()
    /// Callbacks of the HTTP/2 library, for all sessions.
    let http2 = HTTP2Library()
    /// Fields on their way to an HTTP/2 session, which copies them.
    let block = HeaderBlock()
    private var flushes: [HTTP2Connection] = []
    var counters = Counters()
    /// Clients are asked to go.
    private(set) var isDraining = false
    private var isEnding = false
    var tap = FlowTap()
    var handshakeReports = RateLimit(perSecond: HandshakeFailure.perSecond)
    let names: NameClient
    private(set) lazy var upstreams = UpstreamDirectory(self)
    private(set) lazy var prober = AppProber(mark: proxyMark, in: reactor)

    private var inbox = [UInt8](repeating: 0, count: Limits.inboxBytes)
    private var writers: [ByteWriter] = []
    private var logLines: [UInt8] = []
    private let accessLine: AccessLogWriter
    private var listeners: [Listener] = []
    private let budget: ConnectionBudget
    private var connectionCount = 0
    private var handshakesSinceTrim = 0
    private let heapTrim = Deadline()
    private var peerSweep: PeerSweep?
    /// What turns the monotonic clock into the wall clock, and when that was looked up: the wall clock may be set.
    private var wallOffset: Int64 = 0
    private var wallOffsetSince = Int64.min

    init(_ setup: WorkerSetup, _ index: Int, _ messages: Mailbox<Message>) throws {
        self.index = index
        control = setup.control
        configuration = setup.configuration
        reactor = try Reactor()
        names = NameClient(in: reactor) { [service = setup.names] name in
            service.ask(name) { messages.send(.addresses(of: name, $0)) }
        }
        timeouts = Timeouts(setup.configuration.timeouts)
        logger = setup.logger
        sink = setup.sink
        accessLog = setup.configuration.log.accessLog
        accessLine = AccessLogWriter(setup.configuration.log.format)
        budget = setup.connections
        requestParser = RequestParser(limits: HTTPLimits(maxHeadBytes: setup.configuration.maxHeaderBytes))
        let minimum = setup.configuration.tls.minimumVersion
        serverContext =
            setup.material.server == nil
            ? nil : try TLSContext.server(setup.material, minimumVersion: minimum)
        clientContext = CurrentContext(try TLSContext.client(setup.material, minimumVersion: minimum))
        material = setup.material
        try heapTrim.attach(to: reactor)
        heapTrim.action = { [unowned self] in trimHeap() }
        reactor.turnEnded = { [unowned self] in turnEnded() }
        if setup.configuration.tls.checksPeerExpiry { peerSweep = try PeerSweep(self) }
    }

    /// The life of a worker's thread; answers what it has counted.
    static func run(_ setup: WorkerSetup, _ index: Int, _ messages: Mailbox<Message>) throws -> Counters {
        let worker = try Worker(setup, index, messages)
        let reader = try MailboxReader(messages, in: worker.reactor) { [unowned worker] in worker.receive($0) }
        worker.reactor.run()
        worker.turnEnded()
        _ = reader
        return worker.counters
    }

    /// Microseconds of the monotonic clock at the beginning of this turn.
    var now: Int64 { reactor.now }

    // MARK: listening

    private func listen(on socket: ListeningSocket) {
        let role = socket.role
        do throws(SystemError) {
            let listener = try Listener(
                socket, in: reactor, within: budget,
                accepted: { [unowned self] socket, peer in accept(socket, from: peer, role) })
            listener.onFull = { [unowned self] in counters.connectionLimitReached += 1 }
            listeners.append(listener)
        } catch {
            logger.critical("a worker cannot listen", metadata: ["error": "\(error)"])
            report(.cannotListen("a worker cannot listen: \(error)"))
        }
    }

    private func accept(_ socket: consuming Descriptor, from peer: Endpoint, _ role: ListenerRole) {
        _ = linux_no_delay(socket.raw)  // fails only when the peer is gone already
        do throws(SystemError) {
            let channel = try Channel(accepted: socket, from: peer, in: reactor)
            connectionCount += 1
            let direction = role.direction
            channel.direction = direction
            counters.connectionOpened(direction)
            channel.onClose = { [unowned self] in connectionClosed(direction) }
            Intake.start(channel, role, self)
        } catch {
            budget.giveBack()
            logger.warning("a connection could not be watched", metadata: ["error": "\(error)"])
        }
    }

    private func connectionClosed(_ direction: Direction) {
        budget.giveBack()
        connectionCount -= 1
        counters.connectionClosed(direction)
        if isEnding, connectionCount == 0 { reactor.stop() }
    }

    // MARK: memory

    /// Counts a handshake. One needs some fifty kilobytes for a moment, so a burst of them leaves the heap full of
    /// holes, and a megabyte of handshake code resident; when it is over both are given back.
    func handshakeEnded() {
        handshakesSinceTrim += 1
        if handshakesSinceTrim >= Limits.handshakesPerTrim { heapTrim.set(after: Limits.trimMicroseconds) }
    }

    private func trimHeap() {
        handshakesSinceTrim = 0
        linux_trim_heap()
        linux_release_code_pages()
    }

    // MARK: messages

    func receive(_ message: Message) {
        switch message {
        case .listen(let socket): listen(on: socket)
        case .upstream(let endpoints): upstreams.setExplicit(endpoints)
        case .material(let material): use(material)
        case .ticketKeys(let keys):
            material.ticketKeys = keys
            serverContext?.useTicketKeys(keys)
        case .addresses(let name, let addresses): names.answered(name, addresses)
        case .count: report(.counted(counters))
        case .describe: describe()
        case .tapFlows(let isWanted): isWanted ? tap.open() : tap.close()
        case .flowsTaken(let count): tap.taken(count)
        case .logLevel(let level): logger.logLevel = level
        case .ease: ease()
        case .drain: drain()
        case .abort: reactor.stop()
        }
    }

    /// Every handshake from now on uses the new material; connections that stand go on.
    private func use(_ new: TLSMaterial) {
        let change = MaterialChange(from: material, to: new)
        let minimum = configuration.tls.minimumVersion
        do throws(TLSConfigurationError) {
            let server =
                !change.changesServerSide || new.server == nil
                ? serverContext : try TLSContext.server(new, minimumVersion: minimum)
            if change.changesClientSide {
                clientContext?.context = try TLSContext.client(new, minimumVersion: minimum)
                // Idle connections show the old certificate; those at work finish what they do.
                upstreams.closeIdleTLS()
            }
            (serverContext, material) = (server, new)
        } catch {
            // It was rehearsed on the control thread, so this is a want of memory.
            logger.critical("a worker cannot use the new certificates", metadata: ["error": "\(error)"])
            return
        }
        if !change.serverTrust.removed.isEmpty || !change.clientTrust.removed.isEmpty { peerSweep?.anchorsRemoved(new) }
    }

    /// The connections of this worker, in both directions.
    var channels: [Channel] { reactor.registeredHandlers.compactMap { $0 as? Channel } }

    private func ease() {
        isDraining = true
        for channel in channels { channel.user?.channelDraining(channel) }
    }

    private func drain() {
        guard !isEnding else { return }
        isEnding = true
        isDraining = true
        for listener in listeners { listener.close() }
        ease()
        upstreams.closeIdle()
        if connectionCount == 0 { reactor.stop() }
    }

    // MARK: buffers, lent out and given back

    /// The read buffer. A second borrower, which is not expected, gets one of its own.
    func takeInbox() -> [UInt8] {
        var lent: [UInt8] = []
        swap(&lent, &inbox)
        return lent.isEmpty ? [UInt8](repeating: 0, count: Limits.inboxBytes) : lent
    }

    func giveBack(_ buffer: consuming [UInt8]) { inbox = buffer }

    /// A write buffer, empty. Two are in use at a time at most: a request's and an answer's.
    func takeWriter() -> ByteWriter {
        let lent = writers.popLast() ?? ByteWriter(capacity: Limits.writerBytes)
        lent.removeAll()
        return lent
    }

    func giveBack(_ buffer: ByteWriter) {
        if writers.count < 4 { writers.append(buffer) }
    }

    // MARK: the end of a turn

    /// Has a connection write what its streams said in this turn.
    func flushAtTurnEnd(_ connection: HTTP2Connection) { flushes.append(connection) }

    private func turnEnded() {
        // A flush may make other connections have something to say.
        var index = 0
        while index < flushes.count {
            flushes[index].flush()
            index += 1
        }
        flushes.removeAll(keepingCapacity: true)
        if tap.isOpen, let batch = tap.takeBatch() { report(.flows(batch.flows, missed: batch.missed)) }
        guard !logLines.isEmpty else { return }
        sink.write(logLines)
        logLines.removeAll(keepingCapacity: true)
    }

    // MARK: the log

    /// Whether a request's texts will be asked for.
    var keepsTexts: Bool { accessLog != .off || tap.isOpen }

    /// Counts a request that has ended, and logs it.
    func log(_ record: RequestRecord) {
        guard record.isRunning else { return }
        counters.requestEnded(record.connection.direction, record.status, after: now - record.startedAt)
        if let port = record.connection.plaintextPort { counters.plaintext.allowed(port) }
        if tap.isOpen, tapHasRoom() {
            tap.append(Flow(record, endedAt: now, wallOffset: currentWallOffset()))
        }
        guard wants(record.status >= 400 || record.status == 0) else { return }
        accessLine.append(record, endedAt: now, wallOffset: currentWallOffset(), to: &logLines)
    }

    /// What the wall clock is ahead of `now`.
    func currentWallOffset() -> Int64 {
        if now - 1_000_000 > wallOffsetSince {
            wallOffset = linux_wall_microseconds() - linux_monotonic_microseconds()
            wallOffsetSince = now
        }
        return wallOffset
    }

    func log(_ record: borrowing ConnectionRecord) {
        if let port = record.plaintextPort { counters.plaintext.allowed(port) }
        if tap.isOpen, tapHasRoom() {
            tap.append(Flow(record, endedAt: now, wallOffset: currentWallOffset()))
        }
        guard wants(record.reason != nil) else { return }
        accessLine.append(record, endedAt: now, wallOffset: currentWallOffset(), to: &logLines)
    }

    private func wants(_ isError: Bool) -> Bool {
        switch accessLog {
        case .on: true
        case .errors: isError
        case .off: false
        }
    }

    // MARK: time, which is shorter while clients are asked to go

    /// For a request's head, from its first byte.
    var headTime: Int64 { isDraining ? min(timeouts.header, Limits.drainOpeningMicroseconds) : timeouts.header }

    /// For the first request of a connection that stands.
    var openingTime: Int64 { isDraining ? Limits.drainOpeningMicroseconds : timeouts.idle }

    // MARK: what the configuration says of addresses

    var proxyMark: UInt32? { configuration.capture.connectMark }

    var outboundPort: UInt16 { configuration.capture.outboundPort }

    /// Ports this process listens on: a captured connection to one of them would come back here for ever.
    func isOwnPort(_ port: UInt16) -> Bool {
        let capture = configuration.capture
        return capture.isTransparent && (port == capture.inboundPort || port == capture.outboundPort)
            || port == configuration.inbound.listenPort || port == configuration.monitor.port
            || port == configuration.outbound.proxyPort
    }

    func explainPlaintext(from peer: Endpoint, to original: Endpoint, because reason: String) {
        logger.info(
            "plaintext refused", metadata: ["peer": "\(peer)", "destination": "\(original)", "reason": "\(reason)"])
    }

    func explain(_ probe: AppProbe, _ outcome: ProbeOutcome) {
        logger.debug("application probed", metadata: probe.metadata(outcome))
    }

    func explain(_ failure: UpstreamFailure, _ record: RequestRecord) {
        logger.info(
            "upstream failed",
            metadata: [
                "reason": "\(failure.sentence)", "flag": "\(failure.flag)",
                "direction": "\(record.connection.direction)",
            ])
    }
}

/// What a listener's connections are.
enum ListenerRole: Sendable {
    case explicitInbound, capturedInbound, capturedOutbound, forwardProxy

    var direction: Direction {
        switch self {
        case .explicitInbound, .capturedInbound: .inbound
        case .capturedOutbound, .forwardProxy: .outbound
        }
    }
}

/// Everything a worker is made from, as values.
struct WorkerSetup: Sendable {
    let configuration: Configuration
    let material: TLSMaterial
    let logger: Logger
    let sink: LogSink
    let names: NameService
    let control: Mailbox<ControlThread.Message>
    /// `MAX_CONNECTIONS`, of all workers together.
    let connections: ConnectionBudget
}

/// The configured timeouts in microseconds.
struct Timeouts {
    let handshake, header, idle, connect: Int64
    /// nil for none.
    let response: Int64?

    init(_ seconds: Configuration.Timeouts) {
        handshake = Int64(seconds.handshake) * 1_000_000
        header = Int64(seconds.header) * 1_000_000
        idle = Int64(seconds.idle) * 1_000_000
        connect = Int64(seconds.connect) * 1_000_000
        response = seconds.response == 0 ? nil : Int64(seconds.response) * 1_000_000
    }

    var connecting: ConnectTimeouts { ConnectTimeouts(connect: connect, handshake: handshake) }
}
