package import Addressing

/// A firewall mark under its mask. Only the bits of the mask are looked at and set; the rest belongs to others.
package struct FirewallMark: Sendable, Equatable, CustomStringConvertible {
    package let value: UInt32
    package let mask: UInt32

    package init(value: UInt32, mask: UInt32) {
        self.value = value
        self.mask = mask
    }

    package var description: String { "0x\(String(value, radix: 16))/0x\(String(mask, radix: 16))" }
}

/// What is to be captured, and where to.
package struct CaptureSettings: Sendable, Equatable {
    package var inboundCapturePort: UInt16
    package var outboundCapturePort: UInt16
    package var includeInboundPorts: PortSet
    package var excludeInboundPorts: PortSet
    /// The sidecar's own ports, which are never captured.
    package var ownPorts: PortSet
    /// nil for all addresses.
    package var includeOutboundCIDRs: [CIDR]?
    package var excludeOutboundCIDRs: [CIDR]
    package var includeOutboundPorts: PortSet
    package var excludeOutboundPorts: PortSet
    package var excludeOutboundUIDs: [UInt32]
    package var proxyUID: UInt32
    /// On packets of captured outbound connections.
    package var captureMark: FirewallMark
    /// On the proxy's own sockets.
    package var proxyMark: FirewallMark
    package var routingTable: UInt32

    package init(
        inboundCapturePort: UInt16 = 15006, outboundCapturePort: UInt16 = 15001,
        includeInboundPorts: PortSet = .all, excludeInboundPorts: PortSet = .none,
        ownPorts: PortSet = PortSet([8081...8081, 8443...8443]),
        includeOutboundCIDRs: [CIDR]? = nil, excludeOutboundCIDRs: [CIDR] = [],
        includeOutboundPorts: PortSet = .all, excludeOutboundPorts: PortSet = PortSet([53...53]),
        excludeOutboundUIDs: [UInt32] = [], proxyUID: UInt32 = 1337,
        captureMark: FirewallMark = FirewallMark(value: 0x5c0, mask: 0xfff),
        proxyMark: FirewallMark = FirewallMark(value: 0x5c1, mask: 0xfff), routingTable: UInt32 = 1480
    ) {
        self.inboundCapturePort = inboundCapturePort
        self.outboundCapturePort = outboundCapturePort
        self.includeInboundPorts = includeInboundPorts
        self.excludeInboundPorts = excludeInboundPorts
        self.ownPorts = ownPorts
        self.includeOutboundCIDRs = includeOutboundCIDRs
        self.excludeOutboundCIDRs = excludeOutboundCIDRs
        self.includeOutboundPorts = includeOutboundPorts
        self.excludeOutboundPorts = excludeOutboundPorts
        self.excludeOutboundUIDs = excludeOutboundUIDs
        self.proxyUID = proxyUID
        self.captureMark = captureMark
        self.proxyMark = proxyMark
        self.routingTable = routingTable
    }
}
