import Addressing
import CLinux
import Glibc

/// The addresses under which this machine reaches itself.
enum LocalAddresses {
    /// Asks the kernel each time: addresses come and go, and hardly anyone asks.
    static func contain(_ address: IPAddress) -> Bool {
        // A connect to the unspecified address goes to loopback.
        if address.isLoopback || address == .anyV4 || address == .anyV6 { return true }
        var list: UnsafeMutablePointer<ifaddrs>?
        guard unsafe getifaddrs(&list) == 0 else { return false }
        defer { unsafe freeifaddrs(list) }
        var next = unsafe list
        while let entry = unsafe next {
            if let name = unsafe entry.pointee.ifa_addr, unsafe IPAddress(name) == address { return true }
            unsafe next = entry.pointee.ifa_next
        }
        return false
    }
}

extension IPAddress {
    /// nil for what is neither IPv4 nor IPv6.
    init?(_ name: UnsafePointer<sockaddr>) {
        switch unsafe CInt(name.pointee.sa_family) {
        case AF_INET:
            let bits = unsafe name.withMemoryRebound(to: sockaddr_in.self, capacity: 1) { unsafe $0.pointee.sin_addr }
            self.init(v4: UInt32(bigEndian: bits.s_addr))
        case AF_INET6:
            let bits = unsafe name.withMemoryRebound(to: sockaddr_in6.self, capacity: 1) { unsafe $0.pointee.sin6_addr }
            self.init(v6: bits.bits)
        case _: return nil
        }
    }
}
