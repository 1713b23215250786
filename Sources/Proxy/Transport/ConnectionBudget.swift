import Synchronization

/// How many connections may be open at once, counted over all threads that accept them.
final class ConnectionBudget: Sendable {
    private let limit: Int
    private let open = Atomic<Int>(0)

    init(limit: Int) { self.limit = limit }

    /// Takes room for one connection, if there is some.
    func take() -> Bool {
        if open.wrappingAdd(1, ordering: .relaxed).newValue <= limit { return true }
        giveBack()
        return false
    }

    /// Takes room whether there is some or not.
    func takeRegardless() { open.wrappingAdd(1, ordering: .relaxed) }

    func giveBack() { open.wrappingSubtract(1, ordering: .relaxed) }
}
