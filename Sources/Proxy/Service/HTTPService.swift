package import Addressing
import CLinux

/// A small HTTP/1.1 server for what is not the data plane: the monitor port, the admission webhook. It belongs to one
/// thread's reactor and holds requests and answers in memory whole.
package final class HTTPService {
    package typealias Handler = (ServiceRequest, ServiceConnection) -> Void

    private let reactor: Reactor
    let limits: HTTPServiceLimits
    let handler: Handler
    private var listeners: [Listener] = []
    private let budget: ConnectionBudget
    /// nil for plain HTTP.
    private let tls: ServiceTLS?
    private var connections: [ObjectIdentifier: ServiceConnection] = [:]
    /// Each answer asks its client to go.
    private(set) var isEasing = false
    /// A handshake has failed: with whom, and why.
    package var handshakeFailed: ((Endpoint, String) -> Void)?
    /// What connections read into, one after the other.
    var scratch = [UInt8](repeating: 0, count: HTTPService.scratchBytes)
    /// Of bodies that are not whole yet and answers that are not sent yet, over all connections.
    private var heldBytes = 0
    var now: Int64 { reactor.now }

    static let scratchBytes = 16_384

    /// - Parameters:
    ///   - variable: what sets the port, for the message that it cannot be had.
    ///   - handler: answers each request through its connection, now or later.
    package init(
        port: UInt16, setBy variable: StaticString, limits: HTTPServiceLimits, tls: ServiceTLS? = nil,
        in reactor: Reactor, handler: @escaping Handler
    ) throws(FatalError) {
        self.reactor = reactor
        self.limits = limits
        self.handler = handler
        self.tls = tls
        budget = ConnectionBudget(limit: limits.connections)
        try listen(port, variable)
    }

    private func listen(_ port: UInt16, _ variable: StaticString) throws(FatalError) {
        let entry = ListenerPlan.Entry(
            endpoint: Endpoint(.anyV6, port), role: .explicitInbound, options: .init(isDualStack: true),
            variable: variable)
        guard let socket = try ListenerPlan.open(entry) else { return }
        let shared = ListeningSocket(consume socket, entry.role)
        let listener = try system { () throws(SystemError) in
            try Listener(
                shared, in: reactor, within: budget,
                accepted: { [unowned self] socket, peer in accept(socket, peer) })
        }
        listeners.append(listener)
    }

    // MARK: the end

    package var openConnections: Int { connections.count }

    /// Has each answer from now on ask its client to go. New clients are served too: they may not know yet.
    package func ease() { isEasing = true }

    /// Takes no new connections, ends those that wait for a request, and others with their next answer.
    package func stop() {
        isEasing = true
        for listener in listeners { listener.close() }
        listeners = []
        for connection in connections.values { connection.endIfIdle() }
    }

    // MARK: memory

    /// Takes note of more bytes of a body that is coming, or of an answer that waits; false when they are too many.
    func hold(_ count: Int) -> Bool {
        guard heldBytes + count <= limits.totalBytes else { return false }
        heldBytes += count
        return true
    }

    func forget(_ count: Int) { heldBytes -= count }

    // MARK: connections

    private func accept(_ socket: consuming Descriptor, _ peer: Endpoint) {
        do throws(SystemError) {
            let channel = try Channel(accepted: socket, from: peer, in: reactor)
            let connection = ServiceConnection(self, channel)
            let identifier = ObjectIdentifier(connection)
            connections[identifier] = connection
            channel.onClose = { [unowned self] in
                budget.giveBack()
                connections[identifier] = nil
            }
            channel.user = connection
            if connections.count >= limits.connections { makeRoom(for: connection) }
            guard let tls else { return channel.setDeadline(after: limits.requestMicroseconds) }
            guard let context = tls.context else { return channel.close() }
            channel.startTLS(context, timeout: limits.requestMicroseconds)
        } catch {
            budget.giveBack()  // out of descriptors: the client fails and tries again
        }
    }

    /// Ends the connection that has been waited for the longest. Nobody shows a certificate here, and whoever opens
    /// connections and is silent must not keep the kubelet or the API server out; nor must those who wait for an answer
    /// that the application owes: they have half of the room.
    private func makeRoom(for newcomer: ServiceConnection) {
        let answering = connections.values.filter { $0.waitsForAnswer }
        if answering.count > limits.connections / 2 {
            answering.min { $0.waitsSince < $1.waitsSince }?.makeRoom()
            return
        }
        let silent = connections.values.filter { $0.waitsForClient && $0 !== newcomer }
            .sorted { $0.isMissedFrom < $1.isMissedFrom }
        // A request that has come is answered first: only who has said nothing goes.
        guard let victim = silent.first(where: { !$0.hears() }) ?? silent.first else { return newcomer.makeRoom() }
        victim.makeRoom()
    }
}
