import CLinux

/// One thing to do at one time, for code that has no connection to hang it on.
package final class Deadline: EventHandler {
    private var descriptor: Descriptor?
    private var reactor: Reactor?
    /// What to do; set once.
    package var action: (() -> Void)?

    package override init() {}

    /// Takes a slot of the reactor: deadlines belong to registered handlers.
    package func attach(to reactor: Reactor) throws(SystemError) {
        let seat = Descriptor(owning: try SystemError.check("eventfd", linux_eventfd()))
        try reactor.register(self, seat.raw, .readable)
        descriptor = consume seat
        self.reactor = reactor
    }

    package func set(after microseconds: Int64) {
        reactor?.setDeadline(self, after: microseconds)
    }

    override func deadlineReached() { action?() }
}
