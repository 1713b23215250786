import Addressing
import Glibc

/// The sockets that the data plane listens on, as values: which address, in which role, named by which variable.
struct ListenerPlan: Sendable {
    struct Entry: Sendable {
        let endpoint: Endpoint
        let role: ListenerRole
        let options: Socket.ListenOptions
        /// The variable that sets the port.
        let variable: StaticString
    }

    let entries: [Entry]

    init(_ configuration: Configuration) {
        var entries: [Entry] = []
        if let port = configuration.inbound.listenPort {
            entries.append(
                Entry(
                    endpoint: Endpoint(.anyV6, port), role: .explicitInbound, options: .init(isDualStack: true),
                    variable: "TLS_LISTEN_PORT"))
        }
        if let port = configuration.outbound.proxyPort {
            // Whoever reaches it speaks with the pod's certificate: loopback is the pod.
            for loopback in [IPAddress.loopbackV4, .loopbackV6] {
                entries.append(
                    Entry(
                        endpoint: Endpoint(loopback, port), role: .forwardProxy, options: .init(),
                        variable: "OUTBOUND_PROXY_PORT"))
            }
        }
        let capture = configuration.capture
        if capture.isTransparent {
            // The listeners carry the proxy mark: accepted sockets inherit it, down to their last packet.
            let options = Socket.ListenOptions(isTransparent: true, mark: capture.proxyMark.value)
            for any in [IPAddress.anyV4, .anyV6] {
                entries.append(
                    Entry(
                        endpoint: Endpoint(any, capture.inboundPort), role: .capturedInbound, options: options,
                        variable: "INBOUND_CAPTURE_PORT"))
                entries.append(
                    Entry(
                        endpoint: Endpoint(any, capture.outboundPort), role: .capturedOutbound, options: options,
                        variable: "OUTBOUND_CAPTURE_PORT"))
            }
        }
        self.entries = entries
    }

    /// Opens one entry. Where the kernel has no IPv6, its sockets are left out: nothing can arrive there.
    static func open(_ entry: Entry) throws(FatalError) -> Descriptor? {
        do throws(SystemError) {
            return try Socket.listen(on: entry.endpoint, entry.options)
        } catch {
            // IPv6 that is only switched off has no loopback address.
            if entry.endpoint.address == .loopbackV6, error.number == EADDRNOTAVAIL { return nil }
            if error.number == EAFNOSUPPORT, entry.endpoint.address.family == .v6 {
                guard entry.role == .explicitInbound else { return nil }
                let fallback = Entry(
                    endpoint: Endpoint(.anyV4, entry.endpoint.port), role: entry.role, options: .init(),
                    variable: entry.variable)
                return try open(fallback)
            }
            throw FatalError(
                "\(entry.variable): cannot listen on \(entry.endpoint): \(error)",
                exitCode: error.number == EPERM || error.number == EACCES ? .noPermission : .failed)
        }
    }
}
