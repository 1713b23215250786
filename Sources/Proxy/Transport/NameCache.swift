import Addressing

/// What one worker knows of names, and who waits to know. It asks nobody and reads no clock.
struct NameCache<Waiter> {
    /// How long an answer serves: a Service's address may move.
    static var lifetimeMicroseconds: Int64 { 30_000_000 }
    /// How long a failure serves: enough that a burst of requests asks once.
    static var failureMicroseconds: Int64 { 1_000_000 }
    /// Beyond it, names that were asked for long ago are forgotten.
    static var maximumNames: Int { 1_024 }

    private struct Answer {
        let addresses: [IPAddress]
        let expiresAt: Int64
    }

    private var answers: [String: Answer] = [:]
    private var waiting: [String: [Waiter]] = [:]

    /// The addresses of a name, empty when it has none; nil when somebody must be asked.
    func addresses(of name: String, at now: Int64) -> [IPAddress]? {
        guard let answer = answers[name], answer.expiresAt > now else { return nil }
        return answer.addresses
    }

    /// Keeps a waiter for the answer; true when the question is not on its way yet.
    mutating func wait(for name: String, _ waiter: Waiter) -> Bool {
        waiting[name, default: []].append(waiter)
        return waiting[name]?.count == 1
    }

    /// Keeps the answer; returns who has waited for it.
    mutating func answered(_ name: String, _ addresses: [IPAddress], at now: Int64) -> [Waiter] {
        if answers.count >= NameCache.maximumNames { makeRoom(at: now) }
        let lifetime = addresses.isEmpty ? NameCache.failureMicroseconds : NameCache.lifetimeMicroseconds
        answers[name] = Answer(addresses: addresses, expiresAt: now + lifetime)
        return waiting.removeValue(forKey: name) ?? []
    }

    var count: Int { answers.count }

    private mutating func makeRoom(at now: Int64) {
        answers = answers.filter { $0.value.expiresAt > now }
        // All of them fresh: this many names in so short a time are not asked for again.
        if answers.count >= NameCache.maximumNames { answers = [:] }
    }
}
