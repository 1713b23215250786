/// The monitor port: plain HTTP for kubelet and operators, served by the control thread.
final class MonitorServer {
    private let service: HTTPService

    init(port: UInt16, routes: MonitorRoutes, in reactor: Reactor) throws(FatalError) {
        service = try HTTPService(
            port: port, setBy: "MONITOR_PORT", limits: MonitorServer.limits, in: reactor
        ) { request, connection in
            routes.handle(request, connection)
        }
    }

    /// A probe needs one connection, and the name of a log level is all that anybody has to send.
    static let limits = HTTPServiceLimits(connections: 64, bodyBytes: 1_024)
}

typealias MonitorRequest = ServiceRequest
typealias MonitorAnswer = ServiceAnswer
typealias MonitorConnection = ServiceConnection
