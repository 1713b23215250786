/// What the rules' counters have counted since `init` wrote them.
struct CaptureCounters: Equatable {
    /// Packets that open inbound connections, handed to the proxy.
    var inboundCaptured: Int64 = 0
    /// The same, dropped because no proxy listened.
    var inboundDropped: Int64 = 0
    /// Packets of outbound connections, handed to the proxy.
    var outboundCaptured: Int64 = 0
    var outboundDropped: Int64 = 0
    /// Captured packets that would have left by another interface than `lo`.
    var strayed: Int64 = 0
    /// Connections that the application opened from one of the sidecar's own ports.
    var misusedPorts: Int64 = 0

    init() {}

    init(reading plan: CapturePlan) throws(NetSetupError) {
        let present = try Listing.rules()
        for chain in plan.chains {
            let texts = try CaptureInstaller.kernelTexts(of: chain)
            for (rule, text) in zip(chain.rules, texts) {
                let found = present.first { $0.chain == chain.name && $0.text == text }
                if let packets = found?.packets { count(packets, rule) }
            }
        }
    }

    mutating func count(_ packets: Int64, _ rule: Rule) {
        guard rule.actions.contains(.count) else { return }
        let isOutbound = rule.matches.contains(.comesInOnLoopback)
        let isRedirect = rule.actions.contains { if case .redirect = $0 { true } else { false } }
        let isOwnPort = rule.matches.contains { if case .sourcePort = $0 { true } else { false } }
        if isRedirect {
            if isOutbound { outboundCaptured += packets } else { inboundCaptured += packets }
        } else if rule.actions.contains(.drop) {
            if rule.matches.contains(.leavesByLoopback(false)) {
                strayed += packets
            } else if isOwnPort {
                misusedPorts += packets
            } else if isOutbound {
                outboundDropped += packets
            } else {
                inboundDropped += packets
            }
        }
    }
}
