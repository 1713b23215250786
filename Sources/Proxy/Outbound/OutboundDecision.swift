import Addressing

/// What happens to a captured outbound connection, by its destination.
enum OutboundDecision: Equatable {
    case mtls, passthrough, deny

    static func decide(_ outbound: Configuration.Outbound, _ destination: IPAddress) -> OutboundDecision {
        switch outbound.unmatched {
        case .deny: .deny
        case .passthrough: .passthrough
        case .mtls: outbound.mtlsCIDRs.contains { $0.contains(destination) } ? .mtls : .passthrough
        }
    }
}
