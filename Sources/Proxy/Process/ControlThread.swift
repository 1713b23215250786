import Addressing
import CLinux
import Glibc
import Logging

/// The thread that watches over the workers: signals, the monitor port, the addresses of the upstream, the end.
final class ControlThread {
    enum Message: Sendable {
        case upstream([Endpoint])
        case report(worker: Int, WorkerReport)
        indirect case workerEnded(worker: Int, Counters)
        /// The addresses of a name that this thread has asked for.
        case addresses(of: String, [IPAddress])
        /// A worker could not start: a sentence.
        case workerFailed(String)
    }

    private let configuration: Configuration
    private var logger: Logger
    private let reactor: Reactor
    let mailbox: Mailbox<Message>
    private let health: Health
    private let surveys: WorkerSurveys
    private let monitor: Monitor
    private var server: MonitorServer?
    private var names: NameClient?
    private var workers: [Mailbox<Worker.Message>] = []
    private var runningWorkers = 0
    private var isEnding = false
    private var failure: FatalError?
    private var captureWatch: CaptureWatch?
    private var reader: MailboxReader<Message>?
    private var signals: SignalReader?
    private var certificates: CertificateWatcher?
    private let shutdownLimit = Deadline()
    private let ticketKeyRenewal = Deadline()

    init(_ configuration: Configuration, logger: Logger, sink: LogSink, version: String) throws(FatalError) {
        self.configuration = configuration
        self.logger = logger
        let reactor = try system { () throws(SystemError) in try Reactor() }
        self.reactor = reactor
        surveys = try system { () throws(SystemError) in try WorkerSurveys(in: reactor) }
        health = Health()
        monitor = Monitor(
            configuration, health: health, surveys: surveys,
            prober: AppProber(mark: configuration.capture.connectMark, in: reactor), sink: sink, version: version)
        mailbox = try system { () throws(SystemError) in try Mailbox() }
        signals = try system { () throws(SystemError) in
            try SignalReader(ProcessSignals.proxy.heard, in: reactor) { [unowned self] in signalled($0) }
        }
        reader = try system { () throws(SystemError) in
            try MailboxReader(mailbox, in: reactor) { [unowned self] in receive($0) }
        }
        try system { () throws(SystemError) in
            try shutdownLimit.attach(to: reactor)
            try ticketKeyRenewal.attach(to: reactor)
        }
        surveys.ask = { [unowned self] worker, question in workers[worker].send(question) }
        monitor.flows.tap = { [unowned self] isWanted in tellWorkers(.tapFlows(isWanted)) }
        monitor.drain = { [unowned self] in ease() }
        monitor.quit = { [unowned self] in end("POST /quit") }
        monitor.probed = { [unowned self] in explain($0, $1) }
        monitor.setLogLevel = { [unowned self] in setLogLevel($0) }
        if let port = configuration.monitor.port {
            server = try MonitorServer(port: port, routes: MonitorRoutes(monitor), in: reactor)
        } else {
            logger.warning("MONITOR_PORT=0: no health checks, no metrics")
        }
        for remark in configuration.probeRemarks { logger.warning("\(remark)") }
    }

    /// The process has closed itself in.
    func fenced(_ fences: Fences) { monitor.fences = fences }

    /// Will keep the workers' certificates those of the directories.
    func watch(_ loaded: LoadedCertificates) throws(FatalError) {
        let watcher = try system { () throws(SystemError) in
            try CertificateWatcher(loaded, logger, in: reactor) { [unowned self] material in
                monitor.material = material
                tellWorkers(.material(material))
            }
        }
        certificates = watcher
        monitor.certificates = watcher.status
        ticketKeyRenewal.action = { [unowned self] in renewTicketKeys(watcher.status) }
        ticketKeyRenewal.set(after: TLSMaterial.ticketKeyMicroseconds)
    }

    private func renewTicketKeys(_ status: MaterialStatus) {
        status.renewTicketKeys()
        tellWorkers(.ticketKeys(status.material.ticketKeys))
        ticketKeyRenewal.set(after: TLSMaterial.ticketKeyMicroseconds)
    }

    /// Starts the workers and runs until the last one has ended.
    func run(_ setup: WorkerSetup, _ sockets: consuming [ListeningSocket]) throws(FatalError) {
        for index in 0..<configuration.workerThreads {
            let messages = try system { () throws(SystemError) in try Mailbox<Worker.Message>() }
            try startWorker(index, setup, messages)
            for number in sockets.indices { messages.send(.listen(sockets[number])) }
            workers.append(messages)
            surveys.workerStarted(index)
        }
        certificates?.start()
        runningWorkers = workers.count
        monitor.material = setup.material
        watchReadiness(setup.names)
        sockets = []  // the listeners' now: what they let go is closed
        try resolveUpstream()
        health.isStarted = true
        linux_release_code_pages()
        reactor.run()
        if let failure { throw failure }
        logger.info("stopped", metadata: surveys.total.metadata)
    }

    /// Looks at the capture rules now, and from time to time when the reactor runs.
    func watchCapture(_ verify: @escaping CaptureWatch.Verify) throws(FatalError) {
        let watch = try system { () throws(SystemError) in try CaptureWatch(verify, health, logger, in: reactor) }
        watch.look()
        captureWatch = watch
    }

    private func startWorker(
        _ index: Int, _ setup: WorkerSetup, _ messages: Mailbox<Worker.Message>
    ) throws(FatalError) {
        let mailbox = mailbox
        _ = try system { () throws(SystemError) in
            try Thread("worker-\(index)") {
                do {
                    let counters = try Worker.run(setup, index, messages)
                    mailbox.send(.workerEnded(worker: index, counters))
                } catch {
                    mailbox.send(.workerFailed("a worker could not start: \(error)"))
                }
            }
        }
    }

    private func resolveUpstream() throws(FatalError) {
        guard configuration.inbound.listenPort != nil else { return }
        health.needsUpstream = true
        let upstream = configuration.inbound.upstream
        let mailbox = mailbox
        let endpoints = { @Sendable (addresses: [IPAddress]) in addresses.map { Endpoint($0, upstream.port) } }
        if let fixed = Resolver.fixed(upstream.host) { return mailbox.send(.upstream(endpoints(fixed))) }
        _ = try system { () throws(SystemError) in
            try Thread("resolver") {
                var known: [Endpoint]?
                while true {
                    let found = endpoints(Resolver.addresses(of: upstream.host))
                    // An empty answer does not take away addresses that worked.
                    if found != known, !found.isEmpty || known == nil { mailbox.send(.upstream(found)) }
                    if !found.isEmpty { known = found }
                    sleep(found.isEmpty ? Resolver.retrySeconds : Resolver.refreshSeconds)
                }
            }
        }
    }

    private func receive(_ message: Message) {
        switch message {
        case .upstream(let endpoints):
            health.hasUpstream = !endpoints.isEmpty
            if endpoints.isEmpty {
                logger.warning(
                    "UPSTREAM_URL has no address yet", metadata: ["host": "\(configuration.inbound.upstream.host)"])
            }
            for worker in workers { worker.send(.upstream(endpoints)) }
        case .report(let worker, let report): receive(report, from: worker)
        case .addresses(let name, let addresses): names?.answered(name, addresses)
        case .workerEnded(let worker, let counters):
            surveys.workerEnded(worker, counters)
            runningWorkers -= 1
            if runningWorkers == 0 { reactor.stop() }
        case .workerFailed(let sentence):
            failure = failure ?? FatalError(sentence)
            reactor.stop()
        }
    }

    private func receive(_ report: WorkerReport, from worker: Int) {
        switch report {
        case .counted(let counters): surveys.counted(worker, counters)
        case .described(let connections, let omitted): surveys.described(worker, connections, omitted: omitted)
        case .flows(let flows, let missed):
            monitor.flows.publish(flows, missed: missed)
            workers[worker].send(.flowsTaken(flows.count))
        case .handshakeFailed(let failure): monitor.handshakes.append(failure)
        case .cannotListen(let sentence): health.listenerProblems.append(sentence)
        }
    }

    private func tellWorkers(_ message: Worker.Message) {
        for worker in workers { worker.send(message) }
    }

    private func setLogLevel(_ level: Configuration.LogLevel) {
        logger.logLevel = level.known
        tellWorkers(.logLevel(level.known))
        logger.info("log level changed", metadata: ["to": "\(level.rawValue)"])
    }

    private func explain(_ probe: AppProbe, _ outcome: ProbeOutcome) {
        logger.debug("application probed", metadata: probe.metadata(outcome))
    }

    private func watchReadiness(_ service: NameService) {
        guard let url = configuration.monitor.upstreamReadiness else { return }
        let names = NameClient(in: reactor) { [mailbox] name in
            service.ask(name) { mailbox.send(.addresses(of: name, $0)) }
        }
        self.names = names
        monitor.readiness = ReadinessProbe(
            url, timeoutSeconds: configuration.monitor.readinessTimeout,
            mark: configuration.capture.connectMark, names: names, in: reactor)
    }

    // MARK: the end

    private func signalled(_ signal: CInt) {
        guard signal != SIGHUP, signal != SIGUSR1 else { return lookAtCertificates(signal) }
        guard isEnding else { return end("signal \(signal)") }
        logger.warning("second signal: ending at once")
        tellWorkers(.abort)
    }

    private func lookAtCertificates(_ signal: CInt) {
        logger.info("looking at the certificates", metadata: ["by": "signal \(signal)"])
        certificates?.lookNow()
    }

    /// Asks clients to go, and goes on serving those that come: endpoints take a while to hear of it.
    private func ease() {
        guard !health.isDraining else { return }
        health.isDraining = true
        logger.info("draining", metadata: ["by": "POST /drain"])
        tellWorkers(.ease)
    }

    private func end(_ cause: String) {
        guard !isEnding else { return }
        isEnding = true
        health.isDraining = true
        let seconds = configuration.timeouts.shutdown
        logger.info("draining", metadata: ["by": "\(cause)", "limit_seconds": "\(seconds)"])
        tellWorkers(.drain)
        shutdownLimit.action = { [unowned self] in
            logger.warning("SHUTDOWN_TIMEOUT_SECS passed: closing what is left")
            tellWorkers(.abort)
        }
        shutdownLimit.set(after: Int64(seconds) * 1_000_000)
    }
}
