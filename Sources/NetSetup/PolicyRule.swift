import Addressing

/// One rule of `ip rule`: how certain packets look their route up.
package struct PolicyRule: Equatable {
    enum Selector: Equatable {
        case mark(FirewallMark)
        /// Packets of this host from a loopback address to elsewhere.
        case fromLoopback(CIDR)
    }

    let isIPv6: Bool
    let priority: UInt32
    let selector: Selector
    /// Where they look; nil where they must not find any route.
    let table: UInt32?
}
