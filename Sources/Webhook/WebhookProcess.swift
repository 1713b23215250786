import Glibc
package import Logging
package import Proxy

/// `sidecar webhook`: opens its ports, keeps its certificate current, answers reviews, drains.
package final class WebhookProcess {
    private let options: WebhookOptions
    private let logger: Logger
    private let sink: LogSink
    private let reactor: Reactor
    private let health = WebhookHealth()
    private let server: WebhookServer
    private var signals: SignalReader?
    private var watcher: CertificateWatcher?
    private var keeper: CertificateKeeper?
    private let drainLimit = Deadline()
    private var isEnding = false

    /// - Parameter sink: what the logger writes to; its thread starts here.
    package init(_ options: WebhookOptions, logger: Logger, sink: LogSink) throws(FatalError) {
        self.options = options
        self.logger = logger
        self.sink = sink
        let reactor = try WebhookProcess.system { () throws(SystemError) in try Reactor() }
        self.reactor = reactor
        server = try WebhookServer(
            options, health: health, logger: logger, in: reactor, clock: { WallClock.monotonicMicroseconds })
    }

    /// Runs until a signal ends it.
    package func run() throws(FatalError) {
        signals = try WebhookProcess.system { () throws(SystemError) in
            try SignalReader(ProcessSignals.webhook.heard, in: reactor) { [unowned self] _ in end() }
        }
        try WebhookProcess.system { () throws(SystemError) in try drainLimit.attach(to: reactor) }
        switch options.certificate {
        case .directory(let path):
            let loaded = try load(path)
            try enterFence(readable: [path])
            try watch(loaded)
        case .own(let own):
            try enterFence(readable: [own.account.directory])
            try keep(own)
        }
        logger.info("listening", metadata: ["port": "\(options.port)", "role": "webhook"])
        reactor.run()
        logger.info("stopped")
        sink.flush()
    }

    private func enterFence(readable: [String]) throws(FatalError) {
        try ServiceFence.enter(readable: readable, isSandboxed: options.isSandboxed, logger)
        sink.start(format: options.log.format)
    }

    // MARK: certificates

    private func load(_ directory: String) throws(FatalError) -> LoadedCertificates {
        do throws(CertificateProblems) {
            return try LoadedCertificates(.serverOnly(directory, namedBy: "--tls-dir"), now: WallClock.seconds)
        } catch {
            throw FatalError(error.sentences)
        }
    }

    private func watch(_ loaded: LoadedCertificates) throws(FatalError) {
        health.isRegistered = true  // by whoever keeps the directory
        use(loaded.material)
        let watcher = try WebhookProcess.system { () throws(SystemError) in
            try CertificateWatcher(loaded, logger, in: reactor) { [unowned self] in use($0) }
        }
        self.watcher = watcher
        watcher.start()
    }

    private func use(_ material: TLSMaterial) {
        guard let credentials = material.server else { return }
        do throws(TLSConfigurationError) {
            try server.use(credentials)
        } catch {
            logger.error("the certificate cannot be used, the old one stays in force", metadata: ["reason": "\(error)"])
        }
    }

    private func keep(_ own: OwnCertificate) throws(FatalError) {
        let keeper = try WebhookProcess.system { () throws(SystemError) in
            try CertificateKeeper(own, health: health, server: server, logger: logger, in: reactor)
        }
        self.keeper = keeper
        keeper.start()
    }

    // MARK: the end

    private func end() {
        guard !isEnding else {
            logger.warning("second signal: ending at once")
            return reactor.stop()
        }
        isEnding = true
        logger.info("draining", metadata: ["limit_seconds": "\(options.drainSeconds)"])
        server.ease()
        drainLimit.action = { [unowned self] in lastCall() }
        drainLimit.set(after: Int64(options.drainSeconds) * 1_000_000)
    }

    /// What is being read or answered may end; nothing new begins.
    private func lastCall() {
        server.stop()
        guard server.openConnections > 0 else { return reactor.stop() }
        let until = reactor.now + WebhookProcess.lastCallMicroseconds
        drainLimit.action = { [unowned self] in
            guard server.openConnections > 0, reactor.now < until else { return reactor.stop() }
            drainLimit.set(after: WebhookProcess.lookMicroseconds)
        }
        drainLimit.set(after: WebhookProcess.lookMicroseconds)
    }

    /// How long an answer may take after the drain.
    private static let lastCallMicroseconds: Int64 = 10_000_000
    private static let lookMicroseconds: Int64 = 50_000

    /// A step of the start that only the system can refuse.
    private static func system<Value: ~Copyable>(
        _ step: () throws(SystemError) -> Value
    ) throws(FatalError) -> Value {
        do throws(SystemError) {
            return try step()
        } catch {
            throw FatalError("the system refused to start the webhook: \(error)")
        }
    }
}
