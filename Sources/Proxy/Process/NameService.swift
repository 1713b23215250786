import Addressing
import CLinux
import Synchronization

/// Looks names up for all workers, on a few threads of its own that start when there is something to ask.
final class NameService: Sendable {
    /// A name whose server is silent holds a thread for many seconds; the others go on.
    static let maximumThreads = 4
    /// Beyond it a question is answered at once with nothing.
    static let maximumQuestions = 1_024

    private struct Question: Sendable {
        let name: String
        let answer: @Sendable ([IPAddress]) -> Void
    }

    private struct State {
        var questions: [Question] = []
        /// Questions that wait or are being asked.
        var unanswered = 0
        var threads = 0

        mutating func takeAll() -> [Question] {
            defer { questions = [] }
            unanswered -= questions.count
            return questions
        }
    }

    private let state = Mutex(State())
    /// Counts the questions that wait.
    private let waiting: Descriptor
    private let lookUp: @Sendable (String) -> [IPAddress]

    init(lookUp: @escaping @Sendable (String) -> [IPAddress] = Resolver.addresses(of:)) throws(SystemError) {
        waiting = Descriptor(owning: try SystemError.check("eventfd", linux_semaphore()))
        self.lookUp = lookUp
    }

    /// Has a name looked up; the answer, empty for none, comes on another thread, or on this one when there is no room.
    func ask(_ name: String, _ answer: @escaping @Sendable ([IPAddress]) -> Void) {
        let (hasRoom, needsThread) = state.withLock { state in
            guard state.unanswered < NameService.maximumQuestions else { return (false, false) }
            state.questions.append(Question(name: name, answer: answer))
            state.unanswered += 1
            guard state.threads < min(state.unanswered, NameService.maximumThreads) else { return (true, false) }
            state.threads += 1
            return (true, true)
        }
        guard hasRoom else { return answer([]) }
        if needsThread { startThread() }
        _ = linux_eventfd_signal(waiting.raw)
    }

    private func startThread() {
        do throws(SystemError) {
            _ = try Thread("names") { [self] in
                while true { answerNext() }
            }
        } catch {
            // The next question tries again; without any thread nobody would answer this one.
            let stranded = state.withLock { state in
                state.threads -= 1
                return state.threads == 0 ? state.takeAll() : []
            }
            for question in stranded { question.answer([]) }
        }
    }

    private func answerNext() {
        guard linux_eventfd_clear(waiting.raw) >= 0 else { return }
        guard let question = state.withLock({ $0.questions.isEmpty ? nil : $0.questions.removeFirst() }) else { return }
        question.answer(lookUp(question.name))
        state.withLock { $0.unanswered -= 1 }
    }
}
