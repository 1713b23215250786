import Addressing

/// The plan for people: what `nft -f` and `ip` would be told.
extension CapturePlan {
    /// The ruleset in nft's language; loading it replaces the table.
    package var nftText: String {
        var lines = [
            "table inet \(CapturePlan.table)", "delete table inet \(CapturePlan.table)",
            "table inet \(CapturePlan.table) {",
        ]
        for chain in chains {
            lines.append("    chain \(chain.name) {")
            if let hook = chain.hook {
                lines.append("        type \(hook.type) hook \(hook.place) priority mangle; policy accept;")
            }
            lines += chain.rules.map { "        " + $0.text }
            lines.append("    }")
        }
        return (lines + ["}"]).joined(separator: "\n") + "\n"
    }

    /// Command lines of ip(8) for the policy rules and routes.
    package var ipCommands: [String] {
        policyRules.map { rule in
            let selector =
                switch rule.selector {
                case .mark(let mark): "fwmark \(mark)"
                case .fromLoopback(let block): "from \(block) iif lo"
                }
            let action = rule.table.map { "lookup \($0)" } ?? "unreachable"
            return "ip \(rule.isIPv6 ? "-6" : "-4") rule add priority \(rule.priority) \(selector) \(action)"
        } + [false, true].map { "ip \($0 ? "-6" : "-4") route replace local default dev lo table \(routingTable)" }
    }
}

extension Rule {
    /// The rule in nft's language.
    var text: String { (matches.map(\.text) + actions.map(\.text)).joined(separator: " ") }
}

extension Rule.Match {
    fileprivate var text: String {
        switch self {
        case .isTCP(let isTCP): isTCP ? "meta l4proto tcp" : "meta l4proto != tcp"
        case .isIPv6: "meta nfproto ipv6"
        case .comesInOnLoopback: "iifname \"lo\""
        case .leavesByLoopback(let leaves): "oifname \(leaves ? "" : "!= ")\"lo\""
        case .mark(let mark): "meta mark & 0x\(hex(mark.mask)) == 0x\(hex(mark.value))"
        case .destinationIsLocal(let isLocal): "fib daddr type \(isLocal ? "" : "!= ")local"
        case .sourcePort(let ports): "tcp sport \(text(ports))"
        case .destinationPort(let ports): "tcp dport \(text(ports))"
        case .source(let block): "\(block.base.family == .v6 ? "ip6" : "ip") saddr \(block)"
        case .destination(let block): "\(block.base.family == .v6 ? "ip6" : "ip") daddr \(block)"
        case .opensConnection: "tcp flags & (syn | ack) == syn"
        case .user(let user): "meta skuid \(user)"
        case .hasTransparentSocket: "socket transparent 1"
        case .isReply: "ct direction reply"
        case .isNewConnection: "ct state new"
        case .connectionMark(let mark): "ct mark & 0x\(hex(mark.mask)) == 0x\(hex(mark.value))"
        }
    }

    private func text(_ ports: ClosedRange<UInt16>) -> String {
        ports.count == 1 ? "\(ports.lowerBound)" : "\(ports.lowerBound)-\(ports.upperBound)"
    }
}

extension Rule.Action {
    fileprivate var text: String {
        switch self {
        case .count: "counter"
        case .accept: "accept"
        case .drop: "drop"
        case .redirect(let port): "tproxy to :\(port)"
        case .setMark(let mark): "meta mark set meta mark & 0x\(hex(~mark.mask)) | 0x\(hex(mark.value))"
        case .setConnectionMark(let mark): "ct mark set ct mark & 0x\(hex(~mark.mask)) | 0x\(hex(mark.value))"
        case .goTo(let chain): "goto \(chain)"
        }
    }
}

private func hex(_ word: UInt32) -> String { String(word, radix: 16) }
