/// One thing in which the kernel is not as the plan wants it.
package enum CaptureDifference: Equatable {
    case tableMissing
    /// NFT_TABLE_F_*: a dormant table does nothing.
    case tableFlagged(UInt32)
    /// The rules cannot be read; what they refuse got through.
    case rulesSilent
    case chainMissing(String)
    case chainChanged(String, found: String, wanted: String)
    case chainUnknown(String)
    case ruleMissing(chain: String, Rule)
    case rulesUnknown(chain: String, count: Int)
    case rulesReordered(chain: String)
    case routeMissing(isIPv6: Bool, table: UInt32)
    case routesUnknown(isIPv6: Bool, table: UInt32, count: Int)
    case policyMissing(PolicyRule)
    case policyUnknown(isIPv6: Bool, priority: UInt32, mark: FirewallMark?, table: UInt32)
    /// A rule of somebody else that is asked before ours.
    case policyPrecedes(isIPv6: Bool, priority: UInt32)

    package var sentence: String {
        switch self {
        case .tableMissing: "the table inet \(CapturePlan.table) is missing"
        case .tableFlagged(let flags):
            flags & 1 == 1
                ? "the table inet \(CapturePlan.table) is dormant: its rules do nothing"
                : "the table inet \(CapturePlan.table) has the flags 0x\(String(flags, radix: 16)), which are not in the plan"
        case .rulesSilent:
            "the capture rules are not in force: they would have refused a test datagram, which got through"
        case .chainMissing(let name): "the chain \(name) is missing"
        case .chainChanged(let name, let found, let wanted): "the chain \(name) is `\(found)` instead of `\(wanted)`"
        case .chainUnknown(let name): "there is a chain \(name) that is not in the plan"
        case .ruleMissing(let chain, let rule): "in the chain \(chain) the rule `\(rule.text)` is missing or changed"
        case .rulesUnknown(let chain, let count):
            "in the chain \(chain) there are \(count) rules that are not in the plan"
        case .rulesReordered(let chain): "the rules of the chain \(chain) are in another order or repeated"
        case .routeMissing(let isIPv6, let table):
            "the \(family(isIPv6)) route `local default dev lo table \(table)` is missing"
        case .routesUnknown(let isIPv6, let table, let count):
            "there are \(count) \(family(isIPv6)) routes in table \(table) that are not in the plan"
        case .policyMissing(let rule):
            "the \(family(rule.isIPv6)) policy rule with priority \(rule.priority) is missing"
        case .policyUnknown(let isIPv6, let priority, let mark, let table):
            "there is an \(family(isIPv6)) policy rule with priority \(priority) that is not in the plan: "
                + "it looks \(mark.map { "packets with the mark \($0)" } ?? "packets") up \(table == 0 ? "nowhere" : "in table \(table)")"
        case .policyPrecedes(let isIPv6, let priority):
            "the \(family(isIPv6)) policy rule with priority \(priority) is asked before those of capture, and takes captured "
                + "packets too"
        }
    }

    private func family(_ isIPv6: Bool) -> String { isIPv6 ? "IPv6" : "IPv4" }
}
