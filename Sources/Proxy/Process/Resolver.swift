import Addressing
import Glibc

/// Looks names up with the system's resolver, on a thread of its own: getaddrinfo blocks.
enum Resolver {
    /// How long addresses are used before the name is looked up again, in seconds: a Service's address may move.
    static let refreshSeconds: UInt32 = 30
    /// How long to wait after a failed look-up.
    static let retrySeconds: UInt32 = 2

    /// What needs no look-up: an address, or `localhost`, which is no question of the resolver (RFC 6761 section 6.3).
    static func fixed(_ host: String, port: UInt16) -> [Endpoint]? {
        if let address = IPAddress(host) { return [Endpoint(address, port)] }
        return host == "localhost" ? [Endpoint(.loopbackV4, port), Endpoint(.loopbackV6, port)] : nil
    }

    /// The TCP endpoints of a name, in the resolver's order; empty when it has none.
    static func resolve(_ host: String, port: UInt16) -> [Endpoint] {
        var hints = unsafe addrinfo()
        unsafe hints.ai_socktype = CInt(SOCK_STREAM.rawValue)
        var list: UnsafeMutablePointer<addrinfo>?
        guard unsafe getaddrinfo(host, nil, &hints, &list) == 0 else { return [] }
        defer { unsafe freeaddrinfo(list) }
        var endpoints: [Endpoint] = []
        var next = unsafe list
        while let entry = unsafe next {
            if let address = unsafe address(of: entry.pointee) { endpoints.append(Endpoint(address, port)) }
            unsafe next = entry.pointee.ai_next
        }
        return endpoints
    }

    private static func address(of entry: addrinfo) -> IPAddress? {
        guard let name = unsafe entry.ai_addr else { return nil }
        switch unsafe entry.ai_family {
        case AF_INET:
            return unsafe name.withMemoryRebound(to: sockaddr_in.self, capacity: 1) {
                IPAddress(v4: UInt32(bigEndian: unsafe $0.pointee.sin_addr.s_addr))
            }
        case AF_INET6:
            return unsafe name.withMemoryRebound(to: sockaddr_in6.self, capacity: 1) {
                IPAddress(v6: unsafe $0.pointee.sin6_addr.bits)
            }
        case _: return nil
        }
    }
}
