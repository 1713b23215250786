import Logging

/// Looks now and then whether the kernel still holds the capture rules, for `/ready` and the log.
package final class CaptureWatch {
    package typealias Verify = @Sendable () -> Finding

    package enum Finding: Sendable, Equatable {
        /// Sentences; none when all is as it should be.
        case differences([String])
        /// Nothing is known, which says nothing against the rules.
        case unreadable(String)
    }

    private let verify: Verify
    private let health: Health
    private let logger: Logger
    private let pause = Deadline()
    private var last = Finding.differences([])

    /// Rules seldom change by themselves, and looking takes the control thread about a millisecond; but without them
    /// strangers reach the application.
    static let pauseMicroseconds: Int64 = 5_000_000
    /// While something is amiss, `init` may be about to mend it.
    static let pauseAmissMicroseconds: Int64 = 2_000_000

    init(
        _ verify: @escaping Verify, _ health: Health, _ logger: Logger, in reactor: Reactor
    ) throws(SystemError) {
        self.verify = verify
        self.health = health
        self.logger = logger
        try pause.attach(to: reactor)
        pause.action = { [unowned self] in look() }
    }

    /// Looks now, and again after a pause, for as long as the reactor runs.
    func look() {
        let finding = verify()
        let isFine = finding == .differences([])
        pause.set(after: isFine ? CaptureWatch.pauseMicroseconds : CaptureWatch.pauseAmissMicroseconds)
        guard finding != last else { return }
        last = finding
        switch finding {
        case .differences(let sentences):
            health.captureFaults = sentences
            for sentence in sentences { logger.warning("capture: \(sentence)") }
            if sentences.isEmpty { logger.info("capture: the rules stand again") }
        case .unreadable(let sentence):
            // What was known to be amiss may still be.
            logger.warning("capture: \(sentence)")
        }
    }
}
