import Addressing

/// Where an upstream connection goes and how.
struct ConnectTarget {
    /// Tried in order until one answers.
    var endpoints: [Endpoint]
    var options = Socket.ConnectOptions()
    /// nil for a plain connection.
    var tls: TLSOrigination?
    var timeouts: ConnectTimeouts
}

/// Microseconds a connect and a handshake may take.
struct ConnectTimeouts: Sendable {
    let connect: Int64
    let handshake: Int64
}

/// The client side of TLS toward one destination; its connections share the ticket of the last session.
final class TLSOrigination {
    let context: TLSContext
    let verification: ServerVerification
    var resumption: TLSResumption?

    init(context: TLSContext, verification: ServerVerification) {
        self.context = context
        self.verification = verification
    }
}
