import Addressing

/// A socket that all workers accept from; it closes when the last of them lets go of it.
final class ListeningSocket: Sendable {
    let descriptor: Descriptor
    let role: ListenerRole

    init(_ descriptor: consuming Descriptor, _ role: ListenerRole) {
        self.descriptor = descriptor
        self.role = role
    }
}

/// Accepts connections for one worker from a socket that all workers share.
///
/// Only one waiting worker is woken per connection (EPOLLEXCLUSIVE). When the process is out of descriptors or the
/// process holds all the connections it may, the listener leaves the poll set for a while: connections then wait in
/// the kernel's backlog instead of spinning the loop.
final class Listener: EventHandler {
    private let reactor: Reactor
    private var socket: ListeningSocket?
    private let budget: ConnectionBudget
    /// Who takes a connection gives its room back when it ends.
    private let accepted: (consuming Descriptor, Endpoint) -> Void
    private var isPaused = false
    /// Called when a connection finds no room.
    var onFull: (() -> Void)?

    /// Connections taken per readiness, so that a flood of them does not starve the ones that stand.
    static let acceptsPerTurn = 32
    /// How long a listener rests when it cannot take more.
    static let pauseMicroseconds: Int64 = 50_000

    init(
        _ socket: ListeningSocket, in reactor: Reactor, within budget: ConnectionBudget,
        accepted: @escaping (consuming Descriptor, Endpoint) -> Void
    ) throws(SystemError) {
        self.reactor = reactor
        self.budget = budget
        self.accepted = accepted
        self.socket = socket
        super.init()
        try reactor.register(self, socket.descriptor.raw, [.readable, .exclusive])
    }

    override func ready(_ readiness: Readiness) {
        for _ in 0..<Listener.acceptsPerTurn {
            guard budget.take() else {
                onFull?()
                return pause()
            }
            guard acceptOne() else { return }
        }
    }

    override func deadlineReached() {
        guard isPaused, let socket else { return }
        do throws(SystemError) {
            try reactor.unmute(self, socket.descriptor.raw, [.readable, .exclusive])
            isPaused = false
        } catch {
            reactor.setDeadline(self, after: Listener.pauseMicroseconds)
        }
    }

    /// Takes what waits in the backlog, whatever the limit, and stops listening: a connection that the kernel has
    /// completed is not to be reset by a shutdown.
    func close() {
        guard isRegistered, let socket else { return }
        repeat { budget.takeRegardless() } while acceptOne()
        reactor.deregister(self, socket.descriptor.raw, isPolled: !isPaused)
        self.socket = nil
    }

    /// Gives the room that was taken for a connection back if none comes.
    private func acceptOne() -> Bool {
        guard let socket else { return false }
        switch Socket.accept(from: socket.descriptor) {
        case .connection(let connection, let peer):
            accepted(connection, peer)
            return true
        case .wouldBlock:
            budget.giveBack()
            return false
        case .exhausted:
            budget.giveBack()
            pause()
            return false
        }
    }

    private func pause() {
        guard !isPaused, isRegistered, let socket else { return }
        isPaused = true
        reactor.mute(socket.descriptor.raw)
        reactor.setDeadline(self, after: Listener.pauseMicroseconds)
    }
}
