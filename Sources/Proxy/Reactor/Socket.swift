import Addressing
import CLinux
import Glibc

/// Socket calls by purpose: a non-blocking TCP socket, its names and the options the proxy sets.
enum Socket {
    /// How a listener is opened.
    struct ListenOptions: Sendable {
        /// IP_TRANSPARENT: accepts connections to addresses that are not the host's own.
        var isTransparent = false
        /// SO_MARK; accepted sockets inherit it, so that their last packets are not captured either.
        var mark: UInt32?
        /// An IPv6 wildcard socket that takes IPv4 too.
        var isDualStack = false
    }

    /// The kernel clamps this to net.core.somaxconn.
    static let listenBacklog: CInt = 4096

    static func listen(on endpoint: Endpoint, _ options: ListenOptions) throws(SystemError) -> Descriptor {
        let isIPv6: CInt = endpoint.address.family == .v6 ? 1 : 0
        let socket = Descriptor(owning: try SystemError.check("socket", linux_tcp_socket(isIPv6)))
        try SystemError.check("setsockopt SO_REUSEADDR", linux_reuse_address(socket.raw))
        if isIPv6 == 1 {
            try SystemError.check("setsockopt IPV6_V6ONLY", linux_only_ipv6(socket.raw, options.isDualStack ? 0 : 1))
        }
        if options.isTransparent {
            try SystemError.check("setsockopt IP_TRANSPARENT", linux_transparent(socket.raw, isIPv6))
        }
        if let mark = options.mark { try SystemError.check("setsockopt SO_MARK", linux_mark(socket.raw, mark)) }
        let bytes = endpoint.address.bytes
        try SystemError.check("bind", unsafe linux_bind(socket.raw, isIPv6, bytes, endpoint.port))
        try SystemError.check("listen", linux_listen(socket.raw, listenBacklog))
        return socket
    }

    /// How an outgoing connection is made.
    struct ConnectOptions: Equatable, Sendable {
        /// SO_MARK that keeps the connection out of the capture rules.
        var mark: UInt32?
        /// The foreign address to connect from (IP_TRANSPARENT), with a port of the kernel's choice.
        var source: IPAddress?
    }

    static func connect(to endpoint: Endpoint, _ options: ConnectOptions) throws(SystemError) -> Descriptor {
        let isIPv6: CInt = endpoint.address.family == .v6 ? 1 : 0
        let socket = Descriptor(owning: try SystemError.check("socket", linux_tcp_socket(isIPv6)))
        try SystemError.check("setsockopt TCP_NODELAY", linux_no_delay(socket.raw))
        if let mark = options.mark { try SystemError.check("setsockopt SO_MARK", linux_mark(socket.raw, mark)) }
        if let source = options.source, source.family == endpoint.address.family {
            try SystemError.check("setsockopt IP_TRANSPARENT", linux_transparent(socket.raw, isIPv6))
            try SystemError.check("setsockopt IP_BIND_ADDRESS_NO_PORT", linux_bind_address_no_port(socket.raw))
            let bytes = source.bytes
            try SystemError.check("bind", unsafe linux_bind(socket.raw, isIPv6, bytes, 0))
        }
        let bytes = endpoint.address.bytes
        let result = unsafe linux_connect(socket.raw, isIPv6, bytes, endpoint.port)
        guard result >= 0 || result == -EINPROGRESS else { throw SystemError(call: "connect", number: -result) }
        return socket
    }

    enum Accepted: ~Copyable {
        case connection(Descriptor, peer: Endpoint)
        case wouldBlock
        /// The process or the system has no descriptor or memory left.
        case exhausted
    }

    static func accept(from listener: borrowing Descriptor) -> Accepted {
        var isIPv6: CInt = 0
        var port: UInt16 = 0
        var bytes = [UInt8](repeating: 0, count: 16)
        while true {
            let result = unsafe linux_accept(listener.raw, &isIPv6, &bytes, &port)
            switch -result {
            case EAGAIN: return .wouldBlock
            case EMFILE, ENFILE, ENOBUFS, ENOMEM: return .exhausted
            // The peer gave up while it waited: accept(2), "Error handling".
            case let failure where failure > 0: continue
            case _: return .connection(Descriptor(owning: result), peer: endpoint(bytes, isIPv6, port))
            }
        }
    }

    /// The socket's own address: under TPROXY, where the connection was meant to go.
    static func localName(of raw: CInt) throws(SystemError) -> Endpoint {
        var isIPv6: CInt = 0
        var port: UInt16 = 0
        var bytes = [UInt8](repeating: 0, count: 16)
        try SystemError.check("getsockname", unsafe linux_local_name(raw, &isIPv6, &bytes, &port))
        return endpoint(bytes, isIPv6, port)
    }

    private static func endpoint(_ bytes: [UInt8], _ isIPv6: CInt, _ port: UInt16) -> Endpoint {
        guard isIPv6 == 1 else {
            return Endpoint(IPAddress(v4: bytes.prefix(4).reduce(0) { $0 << 8 | UInt32($1) }), port)
        }
        return Endpoint(IPAddress(v6: bytes.reduce(0) { $0 << 8 | UInt128($1) }), port)
    }
}
