import Addressing
import CNetfilter
import Files
import Glibc

/// The routing half of a plan in the kernel: policy rules and the route of the capture table, for both families.
struct CaptureRouting {
    private let plan: CapturePlan

    init(_ plan: CapturePlan) { self.plan = plan }

    /// The capture table is the sidecar's own: routes of others in it go.
    func apply() throws(NetSetupError) {
        for isIPv6 in CaptureRouting.families {
            let family: CInt = isIPv6 ? 1 : 0
            if CaptureRouting.hasLoopback(isIPv6) {
                try check("add the route of table \(plan.routingTable)", nf_route_add(family, plan.routingTable))
            }
            try check(
                "delete other routes of table \(plan.routingTable)", nf_routes_delete_others(family, plan.routingTable))
            let wanted = plan.policyRules.filter { $0.isIPv6 == isIPv6 }.map(\.raw)
            let present = try CaptureRouting.clear(isIPv6, but: wanted)
            for rule in wanted where !present.contains(where: { $0.isSame(as: rule) }) {
                var rule = rule
                try check("add a policy rule", unsafe nf_policy_add(&rule))
            }
        }
    }

    func remove() throws(NetSetupError) {
        for isIPv6 in CaptureRouting.families {
            _ = try CaptureRouting.clear(isIPv6, but: [])
            let result = nf_route_delete(isIPv6 ? 1 : 0, plan.routingTable)
            if result != -ESRCH, result != -ENOENT { try check("delete the route", result) }
        }
    }

    func differences() throws(NetSetupError) -> [CaptureDifference] {
        var differences: [CaptureDifference] = []
        for isIPv6 in CaptureRouting.families {
            var routes = nf_routes()
            try check("read routes", unsafe nf_routes(isIPv6 ? 1 : 0, plan.routingTable, &routes))
            if routes.has_ours == 0, CaptureRouting.hasLoopback(isIPv6) {
                differences.append(.routeMissing(isIPv6: isIPv6, table: plan.routingTable))
            }
            if routes.others > 0 {
                differences.append(
                    .routesUnknown(isIPv6: isIPv6, table: plan.routingTable, count: Int(routes.others)))
            }
            let present = try CaptureRouting.policies(isIPv6)
            let wanted = plan.policyRules.filter { $0.isIPv6 == isIPv6 }
            for rule in wanted where !present.contains(where: { $0.isSame(as: rule.raw) }) {
                differences.append(.policyMissing(rule))
            }
            for rule in present where rule.isOurs && !wanted.contains(where: { $0.raw.isSame(as: rule) }) {
                let mark = rule.mark_mask == 0 ? nil : FirewallMark(value: rule.mark, mask: rule.mark_mask)
                differences.append(
                    .policyUnknown(isIPv6: isIPv6, priority: rule.priority, mark: mark, table: rule.table))
            }
            for rule in present where rule.precedes(plan.captureMark) == .always {
                differences.append(.policyPrecedes(isIPv6: isIPv6, priority: rule.priority))
            }
        }
        return differences
    }

    /// Policy rules of others that may take captured packets elsewhere: whether they do depends on more than the mark.
    func doubtfulPolicies() throws(NetSetupError) -> [(isIPv6: Bool, priority: UInt32)] {
        var found: [(isIPv6: Bool, priority: UInt32)] = []
        for isIPv6 in CaptureRouting.families {
            for rule in try CaptureRouting.policies(isIPv6) where rule.precedes(plan.captureMark) == .perhaps {
                found.append((isIPv6, rule.priority))
            }
        }
        return found
    }

    // MARK: what the kernel has

    /// The families that the kernel has.
    private static var families: [Bool] { SmallFile.exists("/proc/net/if_inet6") ? [false, true] : [false] }

    /// Where IPv6 is switched off on `lo`, the kernel takes no local route for it, and the last policy rule refuses what
    /// other interfaces send.
    private static func hasLoopback(_ isIPv6: Bool) -> Bool {
        !isIPv6 || SmallFile.number("/proc/sys/net/ipv6/conf/lo/disable_ipv6") != 1
    }

    private static func policies(_ isIPv6: Bool) throws(NetSetupError) -> [nf_policy] {
        unsafe try list("read policy rules", of: nf_policy()) { unsafe nf_policy_list(isIPv6 ? 1 : 0, $0, $1) }
    }

    /// Deletes the rules at the plan's priorities that are not wanted; answers what is there then.
    ///
    /// The kernel deletes the first rule that has all that it is told, which may be another one with less selectors: so
    /// what is left is looked at again.
    private static func clear(_ isIPv6: Bool, but wanted: [nf_policy]) throws(NetSetupError) -> [nf_policy] {
        while true {
            let present = try policies(isIPv6)
            guard let stale = present.first(where: { rule in rule.isOurs && !wanted.contains { $0.isSame(as: rule) } })
            else { return present }
            try delete(stale)
        }
    }

    private static func delete(_ policy: nf_policy) throws(NetSetupError) {
        var policy = policy
        try check("delete a policy rule", unsafe nf_policy_delete(&policy))
    }
}

/// What becomes of the packets that a policy rule is for (FR_ACT_* of linux/fib_rules.h), as far as it matters here.
private enum PolicyAction: UInt8 {
    case lookUp = 1
    case skip = 2
    case nothing = 3
    case unreachable = 7
}

extension PolicyRule {
    fileprivate var raw: nf_policy {
        var policy = nf_policy()
        policy.is_ipv6 = isIPv6 ? 1 : 0
        policy.priority = priority
        policy.action = table == nil ? PolicyAction.unreachable.rawValue : PolicyAction.lookUp.rawValue
        policy.table = table ?? 0
        switch selector {
        case .mark(let mark):
            policy.mark = mark.value
            policy.mark_mask = mark.mask
        case .fromLoopback(let block):
            policy.source_length = UInt8(block.prefixLength)
            policy.comes_from_loopback = 1
            policy.sourceBytes = block.base.bytes
        }
        return policy
    }
}

extension nf_policy {
    fileprivate enum Precedence { case never, perhaps, always }

    /// RT_TABLE_LOCAL: it has routes to this host only.
    private static let localTable: UInt32 = 255

    /// By the priorities, which nobody else has.
    fileprivate var isOurs: Bool { (CapturePlan.markPriority...CapturePlan.refusalPriority).contains(priority) }

    /// Whether this rule decides on packets with the mark before the plan's own rules do.
    fileprivate func precedes(_ captureMark: FirewallMark) -> Precedence {
        let looksLocally = action == PolicyAction.lookUp.rawValue && table == nf_policy.localTable
        // Packets of this host, looked at again after marking, have `lo` as their input interface.
        guard priority < CapturePlan.markPriority, action != PolicyAction.nothing.rawValue, !looksLocally,
            comes_from_elsewhere == 0
        else { return .never }
        let common = mark_mask & captureMark.mask
        guard mark & common == captureMark.value & common else { return .never }
        let asksForMore =
            has_other_selectors == 1 || source_length > 0 || mark_mask & ~captureMark.mask != 0
            || action == PolicyAction.skip.rawValue
        return asksForMore ? .perhaps : .always
    }

    fileprivate func isSame(as other: nf_policy) -> Bool {
        is_ipv6 == other.is_ipv6 && priority == other.priority && action == other.action && table == other.table
            && mark == other.mark && mark_mask == other.mark_mask && source_length == other.source_length
            && comes_from_loopback == other.comes_from_loopback && comes_from_elsewhere == other.comes_from_elsewhere
            && has_other_selectors == other.has_other_selectors
            && (source_length == 0 || sourceBytes == other.sourceBytes)
    }

    fileprivate var sourceBytes: [UInt8] {
        get { unsafe withUnsafeBytes(of: source) { unsafe Array($0) } }
        set {
            unsafe withUnsafeMutableBytes(of: &source) { bytes in
                for (index, byte) in newValue.prefix(16).enumerated() { unsafe bytes[index] = byte }
            }
        }
    }
}
