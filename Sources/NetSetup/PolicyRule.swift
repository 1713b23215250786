import Addressing

/// One rule of `ip rule`: which packets look their route up in the capture table.
package struct PolicyRule: Equatable {
    enum Selector: Equatable {
        case mark(FirewallMark)
        /// Packets of this host from a loopback address to elsewhere.
        case fromLoopback(CIDR)
    }

    let isIPv6: Bool
    let priority: UInt32
    let selector: Selector
    let table: UInt32
}
