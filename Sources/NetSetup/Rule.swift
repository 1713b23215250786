import Addressing

/// One nftables rule: what it matches and what it does, in order.
package struct Rule: Equatable {
    enum Match: Equatable {
        case isTCP(Bool)
        case isIPv6
        case comesInOnLoopback
        case leavesByLoopback(Bool)
        case mark(FirewallMark)
        /// The destination is an address of this network namespace.
        case destinationIsLocal(Bool)
        case sourcePort(ClosedRange<UInt16>)
        case destinationPort(ClosedRange<UInt16>)
        case source(CIDR)
        case destination(CIDR)
        /// The first packet of a connection: SYN without ACK.
        case opensConnection
        case user(UInt32)
        /// A connection that a transparent socket holds already.
        case hasTransparentSocket
        case isReply
        case isNewConnection
        case connectionMark(FirewallMark)
    }

    enum Action: Equatable {
        case count
        case accept, drop
        case redirect(UInt16)
        case setMark(FirewallMark)
        case setConnectionMark(FirewallMark)
        case goTo(String)
    }

    let matches: [Match]
    let actions: [Action]

    init(_ matches: Match..., do actions: Action...) {
        self.matches = matches
        self.actions = actions
    }

    init(_ matches: [Match], _ actions: [Action]) {
        self.matches = matches
        self.actions = actions
    }
}

/// A chain: where the kernel calls it, or, without a hook, where rules go to.
struct Chain: Equatable {
    struct Hook: Equatable {
        enum Place: UInt32 { case prerouting = 0, output = 3, postrouting = 4 }

        /// `filter` or `route`; the latter looks the route up again when the mark has changed.
        let type: String
        let place: Place
        /// NF_IP_PRI_MANGLE: after connection tracking, before NAT.
        var priority: Int32 { -150 }
    }

    let name: String
    let hook: Hook?
    let rules: [Rule]
}
