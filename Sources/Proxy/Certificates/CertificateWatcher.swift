import CLinux
package import Logging

/// Keeps the material in force that of the certificate directories: looks when they change, and now and then by itself.
///
/// A look loads everything and checks it; only material without a fault is handed on, else what is in force stays. The
/// files are small and the thread is not a worker, so reading them here holds up no request.
package final class CertificateWatcher {
    package let status: MaterialStatus
    private let reactor: Reactor
    private let logger: Logger
    private let changed: (TLSMaterial) -> Void
    private var inotify: Inotify?
    private var debounce = Debounce()
    private let timer = Deadline()
    private var nextLook: Int64 = 0
    /// Of the files that were looked at last.
    private var fingerprint: Int
    /// By the wall clock, in seconds: when these files were loaded in vain, and when a certificate of theirs begins.
    private var triedAt = Int64.min
    private var nextStart: Int64?
    private var notices = TimeNotices()

    private let lookMicroseconds: Int64

    /// For file systems that report no changes, and links that lead out of the watched directories.
    package static let lookMicroseconds: Int64 = 60_000_000
    /// While something is wrong: a certificate becomes valid, or a file readable, without any event.
    static let retryMicroseconds: Int64 = 5_000_000

    /// - Parameter changed: gets the material that is in force from now on.
    package init(
        _ certificates: LoadedCertificates, _ logger: Logger, in reactor: Reactor,
        lookingEvery lookMicroseconds: Int64 = CertificateWatcher.lookMicroseconds,
        changed: @escaping (TLSMaterial) -> Void
    ) throws(SystemError) {
        status = MaterialStatus(
            certificates.source, certificates.material, certificates.files, certificates.warnings,
            at: CertificateWatcher.now())
        fingerprint = certificates.fingerprint
        self.reactor = reactor
        self.logger = logger
        self.lookMicroseconds = lookMicroseconds
        self.changed = changed
        do throws(SystemError) {
            inotify = try Inotify(in: reactor) { [unowned self] in directoriesChanged($0) }
        } catch {
            logger.warning(
                "changes of the certificate directories are noticed late: the kernel refuses to watch them",
                metadata: ["error": "\(error)", "seconds": "\(CertificateWatcher.retryMicroseconds / 1_000_000)"])
        }
        try timer.attach(to: reactor)
        timer.action = { [unowned self] in timePassed() }
    }

    /// Begins to watch. What was loaded at the start may have changed, or be closed to the user the process became.
    package func start() {
        for warning in status.warnings { logger.warning("\(warning)") }
        look()
    }

    private static func now() -> Int64 { linux_wall_microseconds() / 1_000_000 }

    // MARK: when

    private func directoriesChanged(_ change: Inotify.Change) {
        switch change {
        case .whole: debounce.changed(at: reactor.now)
        case .partial: debounce.written(at: reactor.now)
        }
        setTimer()
    }

    private func timePassed() {
        if debounce.isDue(at: reactor.now) || nextLook <= reactor.now { look() } else { setTimer() }
    }

    private func setTimer() {
        let next = min(nextLook, debounce.due ?? .max)
        timer.set(after: max(0, next - reactor.now))
    }

    /// Looks without waiting for a change or the time: somebody asks for it.
    package func lookNow() { look() }

    // MARK: what

    private func look() {
        let directories = status.source.directories
        // Watches first: what changes while the files are read is an event.
        inotify?.watch(
            WatchPlan.requests([directories.server, directories.client, directories.ca], CertificateSource.names))
        let found = status.source.fingerprint()
        if found != fingerprint || mayHaveBecomeValid { load() }
        fingerprint = found
        for notice in notices.take(status.files, now: CertificateWatcher.now()) { logger.warning("\(notice)") }
        let isCalm = inotify != nil && status.problems.isEmpty
        nextLook = reactor.now + (isCalm ? lookMicroseconds : CertificateWatcher.retryMicroseconds)
        setTimer()
    }

    /// Nothing about the files has changed but the time, or the clock was set.
    private var mayHaveBecomeValid: Bool {
        guard !status.problems.isEmpty else { return false }
        let now = CertificateWatcher.now()
        return now < triedAt || nextStart.map { $0 <= now } ?? false
    }

    private func refuse(_ problems: [CertificateProblem], _ survey: CertificateSurvey, at now: Int64) {
        (triedAt, nextStart) = (now, survey.nextStart(after: now))
        status.failed(problems, at: now)
        for problem in problems {
            logger.error(
                "certificates not reloaded, the old ones stay in force", metadata: ["reason": "\(problem.sentence)"])
        }
    }

    /// What of a material that is whole has expired: the trust anchor of its own pair.
    private func overdue(_ material: TLSMaterial, _ now: Int64) -> CertificateProblem? {
        guard let expiry = material.expiry(usesClient: status.source.usesClient), expiry.seconds < now else {
            return nil
        }
        return CertificateProblem(
            .expired,
            "\(expiry.what) expired at \(Timestamp.text(seconds: expiry.seconds)): peers that trust the same refuse the pair"
        )
    }

    private func load() {
        let now = CertificateWatcher.now()
        let survey = CertificateSurvey.take(status.source, now: now, inForce: status.files)
        guard var material = survey.material else { return refuse(survey.problems, survey, at: now) }
        // It would be the end of being ready.
        if let over = overdue(material, now), overdue(status.material, now) == nil {
            return refuse([over], survey, at: now)
        }
        let change = MaterialChange(from: status.material, to: material)
        guard !change.isEmpty else {
            if !status.problems.isEmpty { logger.info("certificates are whole again, and those in force") }
            return status.confirmed(survey.files, survey.warnings)
        }
        // Who had a ticket under the old trust set must show a certificate that the new one accepts.
        if change.serverTrust.isEmpty { material.ticketKeys = status.material.ticketKeys }
        let warnings = survey.warnings + change.warnings
        status.loaded(material, survey.files, warnings, at: now)
        changed(material)
        var metadata = Logger.Metadata()
        for field in change.fields { metadata[field.name] = "\(field.text)" }
        logger.info("certificates reloaded", metadata: metadata)
        for warning in warnings { logger.warning("\(warning)") }
        linux_trim_heap()
    }
}
