/// The questions to all workers that are under way.
final class WorkerSurveys {
    private struct Running<Answer> {
        let survey: Survey<Answer>
        let until: Int64
    }

    private let reactor: Reactor
    private let limit = Deadline()
    private var counts: [Running<Counters>] = []
    private var descriptions: [Running<[ConnectionDescription]>] = []
    private var running: Set<Int> = []
    /// What each worker has counted, as far as is known: sums must not shrink when one is too busy to answer.
    private var known: [Int: Counters] = [:]
    /// The ports that have a row in the sum. Kept, since a row that was shown once must not be counted with the others later.
    private var ports = PortCounters()
    private var omitted = 0
    private var isLimitSet = false
    /// Sends a question to one worker.
    var ask: ((Int, Worker.Message) -> Void)?

    /// How long workers may take, in microseconds.
    static let patience: Int64 = 1_000_000

    init(in reactor: Reactor) throws(SystemError) {
        self.reactor = reactor
        try limit.attach(to: reactor)
        limit.action = { [unowned self] in giveUp() }
    }

    // MARK: the workers

    func workerStarted(_ worker: Int) { running.insert(worker) }

    func workerEnded(_ worker: Int, _ counters: Counters) {
        running.remove(worker)
        counted(worker, counters)
        for running in descriptions { running.survey.answered(worker, []) }
    }

    /// The sum of all that is known.
    var total: Counters {
        var sum = Counters()
        sum.plaintext = ports
        for counters in known.values { sum.add(counters) }
        return sum
    }

    // MARK: questions

    func count(then done: @escaping (Counters) -> Void) {
        let survey = Survey<Counters>(of: running) { [unowned self] _ in done(total) }
        guard !survey.isOver else { return }
        counts.append(Running(survey: survey, until: reactor.now + WorkerSurveys.patience))
        put(.count)
    }

    /// - Parameter done: called with what is open, by worker, and with how many connections were left out.
    func describe(then done: @escaping ([Int: [ConnectionDescription]], Int) -> Void) {
        omitted = 0
        let survey = Survey<[ConnectionDescription]>(of: running) { [unowned self] in done($0, omitted) }
        guard !survey.isOver else { return }
        descriptions.append(Running(survey: survey, until: reactor.now + WorkerSurveys.patience))
        put(.describe)
    }

    private func put(_ question: Worker.Message) {
        for worker in running { ask?(worker, question) }
        setLimit()
    }

    /// For the question that is asked the longest: another one must not put off its end.
    private func setLimit() {
        guard !isLimitSet, let first = [counts.first?.until, descriptions.first?.until].compactMap({ $0 }).min() else {
            return
        }
        isLimitSet = true
        limit.set(after: max(0, first - reactor.now))
    }

    // MARK: answers

    func counted(_ worker: Int, _ counters: Counters) {
        known[worker] = counters
        ports.learn(portsOf: counters.plaintext)
        for running in counts { running.survey.answered(worker, counters) }
        counts.removeAll { $0.survey.isOver }
    }

    func described(_ worker: Int, _ connections: [ConnectionDescription], omitted count: Int) {
        omitted += count
        for running in descriptions { running.survey.answered(worker, connections) }
        descriptions.removeAll { $0.survey.isOver }
    }

    private func giveUp() {
        isLimitSet = false
        for running in counts where running.until <= reactor.now { running.survey.finish() }
        for running in descriptions where running.until <= reactor.now { running.survey.finish() }
        counts.removeAll { $0.survey.isOver }
        descriptions.removeAll { $0.survey.isOver }
        setLimit()
    }
}
