/// Asks all workers for something and waits for what they say, not for ever: a worker that is busy must not hold the
/// monitor port.
final class Survey<Answer> {
    private var answers: [Int: Answer] = [:]
    private var missing: Set<Int>
    private var done: (([Int: Answer]) -> Void)?

    /// - Parameter done: called once, with the answers by worker.
    init(of workers: Set<Int>, then done: @escaping ([Int: Answer]) -> Void) {
        missing = workers
        self.done = done
        if missing.isEmpty { finish() }
    }

    var isOver: Bool { done == nil }

    func answered(_ worker: Int, _ answer: Answer) {
        guard missing.remove(worker) != nil else { return }
        answers[worker] = answer
        if missing.isEmpty { finish() }
    }

    /// Goes on without those who have not answered.
    func finish() { done.take()?(answers) }
}
