/// What a connection's descriptor is polled for, and what epoll has to be told when that changes.
struct PollInterest {
    enum Change { case none, modify, unmute }

    private(set) var events: Readiness
    /// False after the kernel reported a hang-up that nobody wants to read yet: epoll would repeat it for ever.
    private(set) var isPolled = true

    init(_ events: Readiness) { self.events = events }

    func change(to wanted: Readiness) -> Change {
        guard isPolled else { return wanted.isEmpty ? .none : .unmute }
        return wanted == events ? .none : .modify
    }

    /// Epoll has been told.
    mutating func changed(to events: Readiness) {
        self.events = events
        isPolled = true
    }

    mutating func muted() {
        events = []
        isPolled = false
    }
}
