import Addressing
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
    /// What new connections do their handshake with; nil for plain HTTP.
    private let tls: CurrentContext?
    /// What connections read into, one after the other.
    var scratch = [UInt8](repeating: 0, count: HTTPService.scratchBytes)
    /// Of bodies that are not whole yet, over all connections.
    private var bodyBytes = 0

    static let scratchBytes = 16_384

    /// - Parameters:
    ///   - variable: what sets the port, for the message that it cannot be had.
    ///   - handler: answers each request through its connection, now or later.
    package init(
        port: UInt16, setBy variable: StaticString, limits: HTTPServiceLimits, tls: CurrentContext? = nil,
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

    /// Takes note of more bytes of a body that is coming; false when they are too many.
    func holdBody(_ count: Int) -> Bool {
        guard bodyBytes + count <= limits.totalBodyBytes else { return false }
        bodyBytes += count
        return true
    }

    func forgetBody(_ count: Int) { bodyBytes -= count }

    private func accept(_ socket: consuming Descriptor, _ peer: Endpoint) {
        do throws(SystemError) {
            let channel = try Channel(accepted: socket, from: peer, in: reactor)
            channel.onClose = { [budget] in budget.giveBack() }
            channel.user = ServiceConnection(self)
            if let tls {
                channel.startTLS(tls.context, timeout: limits.requestMicroseconds)
            } else {
                channel.setDeadline(after: limits.requestMicroseconds)
            }
        } catch {
            budget.giveBack()  // out of descriptors: the client fails and tries again
        }
    }
}
