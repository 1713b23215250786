/// A block of addresses, `10.0.0.0/8` or `fd00::/8`; a bare address is a block of one.
package struct CIDR: Hashable, Sendable, CustomStringConvertible {
    /// The first address of the block: host bits are zero.
    package let base: IPAddress
    package let prefixLength: Int

    package init?(_ base: IPAddress, prefixLength: Int) {
        guard (0...base.bitWidth).contains(prefixLength) else { return nil }
        let hostBits = UInt128(base.bitWidth - prefixLength)
        let network = hostBits == 128 ? 0 : (base.bits >> hostBits) << hostBits
        self.base =
            switch base.family {
            case .v4: IPAddress(v4: UInt32(network))
            case .v6: IPAddress(v6: network)
            }
        self.prefixLength = prefixLength
    }

    /// Reads `ADDRESS` or `ADDRESS/LENGTH`; nil for anything else. Host bits may be set and are cleared.
    package init?(_ text: some StringProtocol) {
        let parts = text.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
        guard let first = parts.first, let base = IPAddress(first) else { return nil }
        guard parts.count == 2 else {
            self.init(base, prefixLength: base.bitWidth)
            return
        }
        let digits = parts[1]
        guard (1...3).contains(digits.utf8.count), digits.utf8.allSatisfy({ (48...57).contains($0) }),
            let length = Int(digits)
        else { return nil }
        self.init(base, prefixLength: length)
    }

    package func contains(_ address: IPAddress) -> Bool {
        guard address.family == base.family else { return false }
        let hostBits = UInt128(base.bitWidth - prefixLength)
        return hostBits == 128 || address.bits >> hostBits == base.bits >> hostBits
    }

    package var description: String { "\(base)/\(prefixLength)" }
}
