import Addressing

/// Everything `sidecar init` puts into the kernel, as values: one nftables table, policy rules, routes.
///
/// The rules need no sysctl, which a pod could not set, and no connection tracking unless an exclusion does. Docs:
/// docs/capture.md tells what each is for.
package struct CapturePlan: Equatable, Sendable {
    /// The name of the table, in the family inet.
    package static let table = "sidecar"
    /// Priorities of the policy rules: before `main` (32766), and no other mesh's.
    static let markPriority: UInt32 = 1480
    static let loopbackPriority: UInt32 = 1481
    static let refusalPriority: UInt32 = 1482

    let chains: [Chain]
    let policyRules: [PolicyRule]
    let routingTable: UInt32
    let captureMark: FirewallMark

    package init(_ settings: CaptureSettings) {
        chains = CapturePlan.inbound(settings) + CapturePlan.outbound(settings) + [CapturePlan.guardian(settings)]
        policyRules = CapturePlan.policyRules(settings)
        routingTable = settings.routingTable
        captureMark = settings.captureMark
    }

    // MARK: inbound

    private static func inbound(_ settings: CaptureSettings) -> [Chain] {
        let leftAlone = settings.excludeInboundPorts.union(settings.ownPorts)
            .union(
                PortSet([
                    settings.inboundCapturePort...settings.inboundCapturePort,
                    settings.outboundCapturePort...settings.outboundCapturePort,
                ]))
        var rules = [
            Rule(.isTCP(false), do: .accept),
            // Outbound packets that the output chain has sent back here. Where no proxy listens, tproxy lets the packet
            // through to the next rule, so that one must drop.
            Rule(
                .comesInOnLoopback, .mark(settings.captureMark), .isTCP(true),
                do: .redirect(settings.outboundCapturePort), .count, .accept),
            Rule(.comesInOnLoopback, .mark(settings.captureMark), do: .count, .drop),
            Rule(.comesInOnLoopback, do: .accept),
            Rule(.destinationIsLocal(false), do: .accept),
        ]
        rules += leftAlone.ranges.map { Rule(.destinationPort($0), do: .accept) }
        let capture = [
            // No mark is set: the destination is local anyway, and a mark would break replies where src_valid_mark is on.
            Rule(.opensConnection, .isTCP(true), do: .redirect(settings.inboundCapturePort), .count, .accept),
            Rule(.opensConnection, do: .count, .drop),
            Rule(.hasTransparentSocket, do: .count, .accept),
        ]
        let hook = Chain.Hook(type: "filter", place: .prerouting)
        if settings.includeInboundPorts.isAll {
            return [Chain(name: "prerouting", hook: hook, rules: rules + capture)]
        }
        rules += settings.includeInboundPorts.ranges.map { Rule(.destinationPort($0), do: .goTo("inbound")) }
        return [
            Chain(name: "inbound", hook: nil, rules: capture), Chain(name: "prerouting", hook: hook, rules: rules),
        ]
    }

    // MARK: outbound

    private static func outbound(_ settings: CaptureSettings) -> [Chain] {
        var rules = [
            // Nobody has reason to send such a packet: the proxy does, to see whether the rules are in force (`Canary`).
            Rule(.isTCP(false), .mark(settings.captureMark), do: .drop),
            Rule(.isTCP(false), do: .accept),
            // The proxy's own sockets, by mark: a packet that a closed socket still sends has no user any more.
            Rule(.mark(settings.proxyMark), do: .count, .accept),
        ]
        if tracksConnections(settings) {
            // Answers of the application on ports that are not captured.
            rules.append(Rule(.isReply, do: .accept))
            rules.append(Rule(.connectionMark(settings.proxyMark), do: .count, .accept))
            rules += settings.excludeOutboundUIDs.map {
                Rule(.isNewConnection, .user($0), do: .setConnectionMark(settings.proxyMark), .count, .accept)
            }
        } else {
            // Without connection tracking the own ports are told by their source port; nothing else may use it.
            for range in settings.ownPorts.ranges {
                rules.append(Rule(.sourcePort(range), .opensConnection, do: .count, .drop))
                rules.append(Rule(.sourcePort(range), do: .accept))
            }
        }
        rules.append(Rule(.user(settings.proxyUID), do: .count, .accept))
        rules.append(Rule(.destinationIsLocal(true), do: .accept))
        // The application's answers to the proxy, when that connects from the client's own address.
        rules += loopbackBlocks.map { Rule(.source($0.block), do: .accept) }
        rules += settings.excludeOutboundCIDRs.map { Rule(.destination($0), do: .accept) }
        rules += settings.excludeOutboundPorts.ranges.map { Rule(.destinationPort($0), do: .accept) }

        let capture = [Rule(do: .setMark(settings.captureMark), .count)]
        let byPort =
            settings.includeOutboundPorts.isAll
            ? nil : settings.includeOutboundPorts.ranges.map { Rule(.destinationPort($0), do: .goTo("outbound")) }
        let byAddress = settings.includeOutboundCIDRs.map { blocks in
            blocks.map { Rule(.destination($0), do: .goTo(byPort == nil ? "outbound" : "ports")) }
        }
        var chains: [Chain] = []
        if byPort != nil || byAddress != nil { chains.append(Chain(name: "outbound", hook: nil, rules: capture)) }
        if let byPort, byAddress != nil { chains.append(Chain(name: "ports", hook: nil, rules: byPort)) }
        let last = byAddress ?? byPort ?? capture
        return chains + [Chain(name: "output", hook: .init(type: "route", place: .output), rules: rules + last)]
    }

    /// Captured packets go to the proxy by `lo`, or nowhere: whatever else somebody's routes would have them do, they do
    /// not leave in plain text.
    private static func guardian(_ settings: CaptureSettings) -> Chain {
        Chain(
            name: "postrouting", hook: .init(type: "filter", place: .postrouting),
            rules: [Rule(.mark(settings.captureMark), .leavesByLoopback(false), do: .count, .drop)])
    }

    /// Whether packets must be told apart by the connection they belong to: an excluded port may be any port, also one
    /// that the kernel gives to outgoing connections, and a user is known on a connection's first packet only.
    static func tracksConnections(_ settings: CaptureSettings) -> Bool {
        !settings.excludeInboundPorts.isEmpty || !settings.includeInboundPorts.isAll
            || !settings.excludeOutboundUIDs.isEmpty
    }

    // MARK: routing

    private static let loopbackBlocks: [(block: CIDR, isIPv6: Bool)] =
        [CIDR("127.0.0.0/8").map { ($0, false) }, CIDR("::1/128").map { ($0, true) }].compactMap { $0 }

    private static func policyRules(_ settings: CaptureSettings) -> [PolicyRule] {
        loopbackBlocks.flatMap { loopback in
            [
                PolicyRule(
                    isIPv6: loopback.isIPv6, priority: markPriority, selector: .mark(settings.captureMark),
                    table: settings.routingTable),
                // An application that listens on loopback only answers a client's address from there; the kernel
                // would not route that out, and must not.
                PolicyRule(
                    isIPv6: loopback.isIPv6, priority: loopbackPriority, selector: .fromLoopback(loopback.block),
                    table: settings.routingTable),
                // The table's route goes when somebody sets `lo` down, or flushes it. Without it a captured packet would
                // find the main table's route and leave in plain text.
                PolicyRule(
                    isIPv6: loopback.isIPv6, priority: refusalPriority, selector: .mark(settings.captureMark),
                    table: nil),
            ]
        }
    }
}
