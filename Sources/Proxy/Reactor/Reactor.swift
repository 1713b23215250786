import CLinux

/// Something a reactor watches: a descriptor's events and one deadline.
///
/// A class with overridden methods rather than a protocol: one virtual call per event, no existential.
package class EventHandler {
    /// Slot and generation, packed: an event of a handler that has left its slot finds nobody.
    fileprivate(set) final var token: UInt64 = EventHandler.noToken
    /// When to call `deadlineReached`, in microseconds of the monotonic clock; `.max` for never.
    fileprivate(set) final var deadline = Int64.max
    /// The wheel tick that holds this handler, or `.max`: older entries in the wheel are stale.
    fileprivate final var armedTick = Int64.max
    fileprivate final var isDeferred = false

    static let noToken = UInt64.max

    final var isRegistered: Bool { token != EventHandler.noToken }

    func ready(_ readiness: Readiness) {}
    func deadlineReached() {}
}

/// The loop of one thread: readiness, deadlines and work put off to the end of a turn.
///
/// It knows nothing of connections or protocols. All of it belongs to the thread that runs it.
package final class Reactor {
    private struct Seat {
        var handler: EventHandler?
        var generation: UInt32
    }

    private var poller: Poller
    private var seats: [Seat] = []
    private var freeSlots: [Int] = []
    private var wheel: TimerWheel
    private var deferred: [EventHandler] = []
    private var isStopped = false
    /// Monotonic microseconds, read once a turn.
    package private(set) var now: Int64
    /// Called at the end of each turn, before the thread sleeps.
    var turnEnded: (() -> Void)?

    package init() throws(SystemError) {
        poller = try Poller()
        now = linux_monotonic_microseconds()
        wheel = TimerWheel(startingAt: now / Reactor.tickMicroseconds)
    }

    // MARK: descriptors

    /// Gives a handler a slot, so that it may have a deadline; a descriptor may follow with `unmute`.
    func register(_ handler: EventHandler) {
        precondition(!handler.isRegistered)
        let slot: Int
        if let free = freeSlots.popLast() {
            slot = free
        } else {
            slot = seats.count
            seats.append(Seat(handler: nil, generation: 0))
        }
        seats[slot].handler = handler
        handler.token = UInt64(seats[slot].generation) << 32 | UInt64(slot)
    }

    func register(_ handler: EventHandler, _ descriptor: CInt, _ interest: Readiness) throws(SystemError) {
        register(handler)
        do throws(SystemError) {
            try poller.add(descriptor, interest, token: handler.token)
        } catch {
            deregister(handler)
            throw error
        }
    }

    func setInterest(_ handler: EventHandler, _ descriptor: CInt, _ interest: Readiness) {
        poller.modify(descriptor, interest, token: handler.token)
    }

    /// Takes the handler off its slot; call it before the descriptor is closed.
    func deregister(_ handler: EventHandler, _ descriptor: CInt, isPolled: Bool = true) {
        if isPolled { poller.remove(descriptor) }
        deregister(handler)
    }

    /// Takes a handler that has no descriptor off its slot.
    func deregister(_ handler: EventHandler) {
        let slot = Int(handler.token & 0xffff_ffff)
        seats[slot].handler = nil
        seats[slot].generation &+= 1
        freeSlots.append(slot)
        handler.token = EventHandler.noToken
        handler.deadline = .max
        handler.armedTick = .max
    }

    /// Gives one handler's slot and descriptor to another, which keeps its own deadline.
    func handOver(_ old: EventHandler, to new: EventHandler) {
        precondition(old.isRegistered && !new.isRegistered)
        seats[Int(old.token & 0xffff_ffff)].handler = new
        (old.token, new.token) = (new.token, old.token)
        (old.armedTick, new.armedTick) = (new.armedTick, old.armedTick)
        old.deadline = .max
        setDeadline(new, at: new.deadline)
    }

    /// Stops polling a descriptor; its handler keeps the slot.
    func mute(_ descriptor: CInt) { poller.remove(descriptor) }

    func unmute(_ handler: EventHandler, _ descriptor: CInt, _ interest: Readiness) throws(SystemError) {
        try poller.add(descriptor, interest, token: handler.token)
    }

    var registeredHandlers: [EventHandler] { seats.compactMap(\.handler) }

    // MARK: deadlines

    /// The wheel's resolution. Deadlines are late by up to this much, never early.
    static let tickMicroseconds: Int64 = 32_000

    /// Sets the handler's one deadline. Moving it later costs a store: the wheel entry is looked at when it is due.
    func setDeadline(_ handler: EventHandler, at deadline: Int64) {
        handler.deadline = deadline
        guard deadline != .max, handler.isRegistered else { return }
        let tick = deadline / Reactor.tickMicroseconds + 1
        guard tick < handler.armedTick else { return }
        handler.armedTick = wheel.insert(handler.token, at: tick)
    }

    func setDeadline(_ handler: EventHandler, after microseconds: Int64) {
        setDeadline(handler, at: now + microseconds)
    }

    func clearDeadline(_ handler: EventHandler) { handler.deadline = .max }

    private func expire() {
        let tick = now / Reactor.tickMicroseconds
        while let entry = wheel.next(upTo: tick) {
            guard let handler = handler(for: entry.token), handler.armedTick == entry.tick else { continue }
            handler.armedTick = .max
            if handler.deadline <= now {
                handler.deadline = .max
                handler.deadlineReached()
            } else {
                setDeadline(handler, at: handler.deadline)
            }
        }
    }

    // MARK: the loop

    /// Calls `ready(.readable)` at the end of this turn: for bytes that wait in memory, where epoll sees nothing.
    func later(_ handler: EventHandler) {
        guard !handler.isDeferred else { return }
        handler.isDeferred = true
        deferred.append(handler)
    }

    package func stop() { isStopped = true }

    package func run() {
        while !isStopped {
            let count = poller.wait(milliseconds: patience)
            now = linux_monotonic_microseconds()
            for index in 0..<count {
                let event = poller.event(index)
                handler(for: event.token)?.ready(event.readiness)
            }
            runDeferred()
            expire()
            turnEnded?()
        }
    }

    private var patience: CInt {
        guard deferred.isEmpty else { return 0 }
        guard let tick = wheel.earliestTick else { return -1 }
        let wait = tick * Reactor.tickMicroseconds - linux_monotonic_microseconds()
        return CInt(clamping: max(0, (wait + 999) / 1000))
    }

    private func runDeferred() {
        // What is deferred while this runs belongs to the next turn, so that sockets get their say in between.
        let batch = deferred
        guard !batch.isEmpty else { return }
        deferred.removeAll()
        for handler in batch {
            handler.isDeferred = false
            if handler.isRegistered { handler.ready(.readable) }
        }
    }

    private func handler(for token: UInt64) -> EventHandler? {
        let slot = Int(token & 0xffff_ffff)
        guard slot < seats.count, UInt64(seats[slot].generation) == token >> 32 else { return nil }
        return seats[slot].handler
    }
}
