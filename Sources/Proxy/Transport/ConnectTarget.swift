import Addressing

/// Where an upstream connection goes and how.
struct ConnectTarget {
    enum Destination {
        /// Tried in order until one answers.
        case endpoints([Endpoint])
        /// A name or an address, looked up for each connection.
        case host(String, port: UInt16, NameClient)

        /// For a message.
        var name: String {
            switch self {
            case .endpoints: "the upstream"
            case .host(let host, _, _): HostName.printable(host)
            }
        }
    }

    var destination: Destination
    var options = Socket.ConnectOptions()
    /// nil for a plain connection.
    var tls: TLSOrigination?
    var timeouts: ConnectTimeouts
    /// Toward the application, or out of the pod.
    var direction = Direction.outbound
    /// The port is one that this process listens on: dialled at an address of this machine, it would call itself.
    var isOwnPort = false

    /// The same place, without TLS.
    var plain: ConnectTarget {
        var target = self
        target.tls = nil
        return target
    }
}

extension ConnectTarget {
    init(
        endpoints: [Endpoint], options: Socket.ConnectOptions = .init(), tls: TLSOrigination? = nil,
        timeouts: ConnectTimeouts, direction: Direction = .outbound
    ) {
        self.init(
            destination: .endpoints(endpoints), options: options, tls: tls, timeouts: timeouts, direction: direction)
    }
}

/// Microseconds a look-up, a connect and a handshake may take.
struct ConnectTimeouts: Sendable {
    let connect: Int64
    let handshake: Int64
}

/// The client side of TLS toward one destination; its connections share the ticket of the last session.
final class TLSOrigination {
    private let current: CurrentContext
    let verification: ServerVerification
    private var last: (session: TLSResumption, context: TLSContext)?

    init(context current: CurrentContext, verification: ServerVerification) {
        self.current = current
        self.verification = verification
    }

    var context: TLSContext { current.context }

    /// The session of an earlier connection. One of other certificates, or of another trust set, would bring them back.
    var resumption: TLSResumption? { last.flatMap { $0.context === context ? $0.session : nil } }

    /// Keeps the session of a connection for the next one.
    func remember(_ channel: Channel) {
        guard let session = channel.resumption(), let context = channel.tlsContext else { return }
        last = (session, context)
    }
}
