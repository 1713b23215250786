import Addressing
import CLinux
import Glibc
import Logging

/// The thread that watches over the workers: signals, the monitor port, the addresses of the upstream, the end.
final class ControlThread {
    enum Message: Sendable {
        case upstream([Endpoint])
        case workerEnded(Counters)
        /// A worker could not start: a sentence.
        case workerFailed(String)
    }

    private let configuration: Configuration
    private let logger: Logger
    private let reactor: Reactor
    private let mailbox: Mailbox<Message>
    private let health = Health()
    private var workers: [Mailbox<Worker.Message>] = []
    private var runningWorkers = 0
    private var totals = Counters()
    private var failure: FatalError?
    private var captureWatch: CaptureWatch?
    private var reader: MailboxReader<Message>?
    private var signals: SignalReader?
    private var monitor: MonitorServer?
    private var certificates: CertificateWatcher?
    private let shutdownLimit = Deadline()

    init(_ configuration: Configuration, logger: Logger) throws(FatalError) {
        self.configuration = configuration
        self.logger = logger
        reactor = try system { () throws(SystemError) in try Reactor() }
        mailbox = try system { () throws(SystemError) in try Mailbox() }
        signals = try system { () throws(SystemError) in
            try SignalReader([SIGTERM, SIGINT], in: reactor) { [unowned self] in signalled($0) }
        }
        reader = try system { () throws(SystemError) in
            try MailboxReader(mailbox, in: reactor) { [unowned self] in receive($0) }
        }
        try system { () throws(SystemError) in try shutdownLimit.attach(to: reactor) }
        if let port = configuration.monitorPort {
            monitor = try MonitorServer(port: port, health: health, in: reactor)
        } else {
            logger.warning("MONITOR_PORT=0: no health checks, no metrics")
        }
    }

    /// Will keep the workers' certificates those of the directories.
    func watch(_ loaded: LoadedCertificates) throws(FatalError) {
        let watcher = try system { () throws(SystemError) in
            try CertificateWatcher(loaded, logger, in: reactor) { [unowned self] material in
                for worker in workers { worker.send(.material(material)) }
            }
        }
        certificates = watcher
        health.certificates = watcher.status
    }

    /// Starts the workers and runs until the last one has ended.
    func run(_ setup: WorkerSetup, _ sockets: consuming [ListeningSocket]) throws(FatalError) {
        for index in 0..<configuration.workerThreads {
            let messages = try system { () throws(SystemError) in try Mailbox<Worker.Message>() }
            try startWorker(index, setup, messages)
            for number in sockets.indices { messages.send(.listen(sockets[number])) }
            workers.append(messages)
        }
        certificates?.start()
        runningWorkers = workers.count
        sockets = []  // the listeners' now: what they let go is closed
        try resolveUpstream()
        health.isStarted = true
        linux_release_code_pages()
        reactor.run()
        if let failure { throw failure }
        logger.info("stopped", metadata: totals.metadata)
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
                    let counters = try Worker.run(setup, messages)
                    mailbox.send(.workerEnded(counters))
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
        case .workerEnded(let counters):
            totals = totals + counters
            runningWorkers -= 1
            if runningWorkers == 0 { reactor.stop() }
        case .workerFailed(let sentence):
            failure = failure ?? FatalError(sentence)
            reactor.stop()
        }
    }

    private func signalled(_ signal: CInt) {
        guard !health.isDraining else {
            logger.warning("second signal: ending at once")
            for worker in workers { worker.send(.abort) }
            return
        }
        health.isDraining = true
        let seconds = configuration.timeouts.shutdown
        logger.info("draining", metadata: ["signal": "\(signal)", "limit_seconds": "\(seconds)"])
        for worker in workers { worker.send(.drain) }
        shutdownLimit.action = { [unowned self] in
            logger.warning("SHUTDOWN_TIMEOUT_SECS passed: closing what is left")
            for worker in workers { worker.send(.abort) }
        }
        shutdownLimit.set(after: Int64(seconds) * 1_000_000)
    }
}

extension Counters {
    /// For the log line that a process leaves behind.
    var metadata: Logger.Metadata {
        [
            "connections": "\(connectionsAccepted)", "requests": "\(requests)",
            "server_handshakes": "\(serverHandshakes)", "server_handshakes_resumed": "\(serverHandshakesResumed)",
            "server_handshake_failures": "\(serverHandshakeFailures)",
            "client_handshakes": "\(clientHandshakes)", "client_handshakes_resumed": "\(clientHandshakesResumed)",
            "upstream_failures": "\(upstreamFailures)", "retries": "\(retries)",
            "plaintext_refused": "\(plaintextRefused)", "plaintext_allowed": "\(plaintextAllowed)",
            "http2_violations": "\(http2Violations)",
            "peers_expired": "\(peersExpired)", "peers_distrusted": "\(peersDistrusted)", "peers_cut": "\(peersCut)",
        ]
    }
}
