import Logging
import Proxy

/// The two ports of the webhook: reviews over HTTPS, health and metrics in the clear.
final class WebhookServer {
    private let options: WebhookOptions
    private let desk: ReviewDesk
    private let health: WebhookHealth
    private let logger: Logger
    private let tls = ServiceTLS()
    private var counts = WebhookCounts()
    private var reviews: HTTPService?
    private var monitor: HTTPService?
    private let clock: () -> Int64

    /// Of one review: an object has 1.5 MiB at most in etcd, and an update shows two of them.
    static let maximumReviewBytes = 3 << 20
    /// API servers are few, and each uses a connection for one review at a time.
    static let maximumConnections = 1_024
    /// Longer than the 90 seconds after which Go's client, which the API server is, gives up an idle connection: the one who
    /// asks should be the one who closes.
    static let idleMicroseconds: Int64 = 300_000_000

    private static let known = "no such path: POST /mutate, POST /mutate/if-asked, GET /live, GET /ready"
    private static let monitorKnown = "no such path: /live, /ready, /metrics"

    /// - Parameter clock: microseconds of the monotonic clock.
    init(
        _ options: WebhookOptions, health: WebhookHealth, logger: Logger, in reactor: Reactor,
        clock: @escaping () -> Int64
    ) throws(FatalError) {
        self.options = options
        self.health = health
        self.logger = logger
        self.clock = clock
        desk = ReviewDesk(options.settings)
        var limits = HTTPServiceLimits(
            connections: WebhookServer.maximumConnections, bodyBytes: WebhookServer.maximumReviewBytes)
        limits.takesChunks = true
        limits.idleMicroseconds = WebhookServer.idleMicroseconds
        let service = try HTTPService(port: options.port, setBy: "--port", limits: limits, tls: tls, in: reactor) {
            [unowned self] request, connection in
            connection.answer(answer(request))
        }
        service.handshakeFailed = { [unowned self] peer, sentence in
            counts.handshakeFailures += 1
            self.logger.warning("handshake failed", metadata: ["peer": "\(peer)", "reason": "\(sentence)"])
        }
        reviews = service
        guard let port = options.monitor.port else {
            logger.warning("MONITOR_PORT=0: health checks on the webhook's own port only, no metrics")
            return
        }
        let few = HTTPServiceLimits(connections: 64, bodyBytes: 0)
        monitor = try HTTPService(port: port, setBy: "MONITOR_PORT", limits: few, in: reactor) {
            [unowned self] request, connection in
            connection.answer(monitorAnswer(request))
        }
    }

    /// New connections get this certificate; those that stand go on with theirs.
    func use(_ credentials: Credentials) throws(TLSConfigurationError) {
        let isFirst = tls.context == nil
        tls.context = try TLSContext.openServer(credentials, minimumVersion: .v1_2)
        if !isFirst { counts.certificateReloads += 1 }
        health.certificateExpiry = credentials.leaf.notAfter
    }

    func checkFailed() { counts.checkFailures += 1 }

    // MARK: reviews

    private func answer(_ request: ServiceRequest) -> ServiceAnswer {
        let invitation: ReviewDesk.Invitation
        switch request.path {
        case "/mutate": invitation = .shown
        case "/mutate/if-asked": invitation = .asked
        case "/live", "/ready": return monitorAnswer(request)
        case _: return ServiceAnswer(404, WebhookServer.known)
        }
        switch request.method {
        case .post: break
        case .get, .head, .put, .delete, .options, .connect, .trace, .patch, .other:
            return ServiceAnswer(405, "use POST with an AdmissionReview")
        }
        guard WebhookServer.isJSON(request.contentType) else {
            return ServiceAnswer(415, "send an AdmissionReview as application/json")
        }
        let start = clock()
        switch desk.reply(to: request.body, invitation) {
        case .verdict(let asked, let verdict):
            let answer = ServiceAnswer(.json, verdict.review(uid: asked.uid))
            let microseconds = clock() - start
            counts.record(verdict.outcome, microseconds: microseconds)
            log(asked, verdict, microseconds)
            return answer
        case .malformed(let sentence):
            counts.recordMalformed()
            logger.warning(
                "malformed review", metadata: ["peer": "\(request.peer)", "reason": "\(sentence)"])
            return ServiceAnswer(400, sentence)
        }
    }

    private static func isJSON(_ type: String?) -> Bool {
        guard let name = type?.split(separator: ";", maxSplits: 1).first else { return false }
        return name.filter { $0 != " " && $0 != "\t" }.lowercased() == "application/json"
    }

    private func log(_ request: AdmissionRequest, _ verdict: AdmissionVerdict, _ microseconds: Int64) {
        var metadata: Logger.Metadata = [
            "outcome": "\(verdict.outcome.rawValue)", "kind": "\(request.kind)", "namespace": "\(request.namespace)",
            "name": "\(request.name)", "operation": "\(request.operation.rawValue)", "uid": "\(request.uid)",
            "duration_us": "\(microseconds)",
        ]
        if request.isDryRun { metadata["dry_run"] = "true" }
        if !verdict.message.isEmpty { metadata["reason"] = "\(verdict.message)" }
        if !verdict.warnings.isEmpty { metadata["warnings"] = "\(verdict.warnings.joined(separator: "; "))" }
        logger.log(level: verdict.outcome == .refused ? .warning : .info, "review", metadata: metadata)
    }

    // MARK: health

    private func monitorAnswer(_ request: ServiceRequest) -> ServiceAnswer {
        switch request.method {
        case .get, .head: break
        case .post, .put, .delete, .options, .connect, .trace, .patch, .other: return ServiceAnswer(405, "use GET")
        }
        let obstacles = health.obstacles(at: WallClock.seconds)
        switch request.path {
        case "/live": return ServiceAnswer(200, "ok")
        case "/ready":
            guard obstacles.isEmpty else { return ServiceAnswer(503, obstacles.joined(separator: "\n")) }
            return ServiceAnswer(200, (["ok"] + health.remarks.map { "warning: \($0)" }).joined(separator: "\n"))
        case "/metrics":
            guard options.monitor.hasMetrics else {
                return ServiceAnswer(404, "metrics are off: set ENABLE_METRICS=true")
            }
            let page = counts.page(
                isReady: obstacles.isEmpty, expiry: health.certificateExpiry, version: options.version)
            return ServiceAnswer(.metrics, page)
        case _: return ServiceAnswer(404, WebhookServer.monitorKnown)
        }
    }

    // MARK: the end

    /// Serves on, and asks each client to go.
    func ease() {
        health.isDraining = true
        reviews?.ease()
    }

    func stop() { reviews?.stop() }
    var openConnections: Int { reviews?.openConnections ?? 0 }
}
