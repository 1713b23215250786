import Glibc

/// An IPv4 or IPv6 address as a value.
///
/// An IPv4-mapped IPv6 address (`::ffff:a.b.c.d`, as a dual-stack socket reports it) becomes the IPv4
/// address it stands for, so that one peer has one spelling.
package struct IPAddress: Hashable, Sendable {
    package enum Family: Hashable, Sendable { case v4, v6 }

    package let family: Family
    /// The address in host order: 32 significant bits for IPv4, 128 for IPv6.
    package let bits: UInt128

    private init(family: Family, bits: UInt128) {
        self.family = family
        self.bits = bits
    }

    package init(v4 bits: UInt32) {
        self.init(family: .v4, bits: UInt128(bits))
    }

    package init(v6 bits: UInt128) {
        let isMapped = bits >> 32 == 0xffff
        self.init(family: isMapped ? .v4 : .v6, bits: isMapped ? bits & 0xffff_ffff : bits)
    }

    /// Reads dotted-quad IPv4 or RFC 4291 IPv6 text, without brackets and without a zone.
    package init?(_ text: some StringProtocol) {
        let text = String(text)
        var v4 = in_addr()
        if unsafe inet_pton(AF_INET, text, &v4) == 1 {
            self.init(v4: UInt32(bigEndian: v4.s_addr))
            return
        }
        var v6 = in6_addr()
        guard unsafe inet_pton(AF_INET6, text, &v6) == 1 else { return nil }
        self.init(v6: v6.bits)
    }

    package static let loopbackV4 = IPAddress(v4: 0x7f00_0001)
    package static let loopbackV6 = IPAddress(v6: 1)
    package static let anyV4 = IPAddress(v4: 0)
    package static let anyV6 = IPAddress(v6: 0)

    package var isLoopback: Bool {
        switch family {
        case .v4: bits >> 24 == 127
        case .v6: bits == 1
        }
    }

    package var bitWidth: Int { family == .v4 ? 32 : 128 }

    /// The address in network order: 4 or 16 bytes.
    package var bytes: [UInt8] {
        stride(from: bitWidth - 8, through: 0, by: -8).map { UInt8(truncatingIfNeeded: bits >> UInt128($0)) }
    }
}

extension IPAddress: CustomStringConvertible {
    package var description: String {
        switch family {
        case .v4:
            return bytes.map(String.init).joined(separator: ".")
        case .v6:
            var address = in6_addr(bits: bits)
            var text = [CChar](repeating: 0, count: Int(INET6_ADDRSTRLEN))
            guard unsafe inet_ntop(AF_INET6, &address, &text, socklen_t(text.count)) != nil else { return "?" }
            return String(decoding: text.prefix { $0 != 0 }.map(UInt8.init), as: UTF8.self)
        }
    }
}

extension in6_addr {
    /// The 128 bits in host order.
    package var bits: UInt128 {
        let words = unsafe __in6_u.__u6_addr32
        return [words.0, words.1, words.2, words.3].reduce(UInt128(0)) { $0 << 32 | UInt128(UInt32(bigEndian: $1)) }
    }

    package init(bits: UInt128) {
        func word(_ shift: UInt128) -> UInt32 { UInt32(truncatingIfNeeded: bits >> shift).bigEndian }
        self.init()
        unsafe __in6_u.__u6_addr32 = (word(96), word(64), word(32), word(0))
    }
}
