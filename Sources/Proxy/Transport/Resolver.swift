import Addressing
import Glibc

/// Looks names up with the system's resolver, on a thread of its own: getaddrinfo blocks.
enum Resolver {
    /// How long addresses are used before the name is looked up again, in seconds: a Service's address may move.
    static let refreshSeconds: UInt32 = 30
    /// How long to wait after a failed look-up.
    static let retrySeconds: UInt32 = 2

    /// What needs no look-up: an address, or `localhost`, which is no question of the resolver (RFC 6761 section 6.3).
    static func fixed(_ host: String) -> [IPAddress]? {
        if let address = IPAddress(host) { return [address] }
        return host == "localhost" ? [.loopbackV4, .loopbackV6] : nil
    }

    /// The addresses of a name, in the resolver's order; empty when it has none.
    static func addresses(of host: String) -> [IPAddress] {
        var hints = unsafe addrinfo()
        unsafe hints.ai_socktype = CInt(SOCK_STREAM.rawValue)
        var list: UnsafeMutablePointer<addrinfo>?
        guard unsafe getaddrinfo(host, nil, &hints, &list) == 0 else { return [] }
        defer { unsafe freeaddrinfo(list) }
        var addresses: [IPAddress] = []
        var next = unsafe list
        while let entry = unsafe next {
            if let name = unsafe entry.pointee.ai_addr, let address = unsafe IPAddress(name) {
                addresses.append(address)
            }
            unsafe next = entry.pointee.ai_next
        }
        return addresses
    }
}
