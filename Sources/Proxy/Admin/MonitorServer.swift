import Addressing
import CLinux

/// The monitor port: plain HTTP for kubelet and operators, served by the control thread.
final class MonitorServer {
    private let reactor: Reactor
    private let routes: MonitorRoutes
    private var listeners: [Listener] = []
    private let budget = ConnectionBudget(limit: MonitorServer.maximumConnections)

    /// Connections at once; probes need one each.
    static let maximumConnections = 64
    /// A request takes this long at most, in microseconds.
    static let requestMicroseconds: Int64 = 10_000_000

    init(port: UInt16, routes: MonitorRoutes, in reactor: Reactor) throws(FatalError) {
        self.reactor = reactor
        self.routes = routes
        let entry = ListenerPlan.Entry(
            endpoint: Endpoint(.anyV6, port), role: .explicitInbound, options: .init(isDualStack: true),
            variable: "MONITOR_PORT")
        guard let socket = try ListenerPlan.open(entry) else { return }
        let shared = ListeningSocket(consume socket, entry.role)
        let listener = try system { () throws(SystemError) in
            try Listener(
                shared, in: reactor, within: budget,
                accepted: { [unowned self] socket, peer in accept(socket, peer) })
        }
        listeners.append(listener)
    }

    private func accept(_ socket: consuming Descriptor, _ peer: Endpoint) {
        do throws(SystemError) {
            let channel = try Channel(accepted: socket, from: peer, in: reactor)
            channel.onClose = { [budget] in budget.giveBack() }
            channel.user = MonitorConnection(routes)
            channel.setDeadline(after: MonitorServer.requestMicroseconds)
        } catch {
            budget.giveBack()  // out of descriptors: the probe fails and is repeated
        }
    }
}
