import Files
import Addressing
import CNetfilter
import Glibc

/// Puts a plan into the kernel of this network namespace, compares it with what is there, takes it away.
package enum CaptureInstaller {
    /// Applies the plan. What an earlier run left is replaced; other tables and rules are not touched.
    ///
    /// Routes come first and the table last, in one transaction: until it stands nothing is captured, and from then
    /// on everything.
    package static func apply(_ plan: CapturePlan) throws(NetSetupError) {
        for isIPv6 in families {
            if hasLoopback(isIPv6) {
                try check(
                    "add the route of table \(plan.routingTable)", nf_route_add(isIPv6 ? 1 : 0, plan.routingTable))
            }
            let present = try policies(isIPv6)
            let wanted = plan.policyRules.filter { $0.isIPv6 == isIPv6 }.map(\.raw)
            for stale in present where isOurs(stale) && !wanted.contains(where: { same($0, stale) }) {
                try delete(stale)
            }
            for rule in wanted where !present.contains(where: { same($0, rule) }) {
                var rule = rule
                try check("add a policy rule", unsafe nf_policy_add(&rule))
            }
        }
        let transaction = try Transaction()
        try transaction.replaceTable(with: plan)
    }

    /// What differs between the kernel and the plan; empty when nothing does.
    package static func verify(_ plan: CapturePlan) throws(NetSetupError) -> [CaptureDifference] {
        try verifyTable(plan) + verifyRouting(plan)
    }

    /// As much of `verify` as this process may: reading nftables needs the capability NET_ADMIN, routes and policy rules
    /// need none.
    package static func verifyReadable(_ plan: CapturePlan) throws(NetSetupError) -> [CaptureDifference] {
        do {
            return try verify(plan)
        } catch {
            guard error.isPermission else { throw error }
            return try verifyRouting(plan)
        }
    }

    static func verifyRouting(_ plan: CapturePlan) throws(NetSetupError) -> [CaptureDifference] {
        var differences: [CaptureDifference] = []
        for isIPv6 in families {
            let hasRoute = try check("read routes", nf_route_exists(isIPv6 ? 1 : 0, plan.routingTable)) == 1
            if !hasRoute, hasLoopback(isIPv6) {
                differences.append(.routeMissing(isIPv6: isIPv6, table: plan.routingTable))
            }
            let present = try policies(isIPv6)
            let wanted = plan.policyRules.filter { $0.isIPv6 == isIPv6 }
            for rule in wanted where !present.contains(where: { same($0, rule.raw) }) {
                differences.append(.policyMissing(rule))
            }
            for rule in present where isOurs(rule) && !wanted.contains(where: { same($0.raw, rule) }) {
                let mark = rule.mark_mask == 0 ? nil : FirewallMark(value: rule.mark, mask: rule.mark_mask)
                differences.append(
                    .policyUnknown(isIPv6: isIPv6, priority: rule.priority, mark: mark, table: rule.table))
            }
        }
        return differences
    }

    /// Takes away everything that `apply` put there; nothing is there already is no error.
    package static func remove(_ plan: CapturePlan) throws(NetSetupError) {
        let transaction = try Transaction()
        try transaction.removeTable()
        for isIPv6 in families {
            for rule in try policies(isIPv6) where isOurs(rule) { try delete(rule) }
            let result = nf_route_delete(isIPv6 ? 1 : 0, plan.routingTable)
            if result != -ESRCH, result != -ENOENT { try check("delete the route", result) }
        }
    }

    // MARK: the table

    static func verifyTable(_ plan: CapturePlan) throws(NetSetupError) -> [CaptureDifference] {
        let chains = try Listing.chains()
        guard !chains.isEmpty else { return [.tableMissing] }
        let rules = try Listing.rules()
        var differences: [CaptureDifference] = []
        for chain in plan.chains {
            guard let found = chains.first(where: { $0.chain == chain.name }) else {
                differences.append(.chainMissing(chain.name))
                continue
            }
            if found.text != chain.kernelText {
                differences.append(.chainChanged(chain.name, found: found.text, wanted: chain.kernelText))
            }
            let present = rules.filter { $0.chain == chain.name }.map(\.text)
            differences += try compare(chain, with: present)
        }
        for found in chains where !plan.chains.contains(where: { $0.name == found.chain }) {
            differences.append(.chainUnknown(found.chain))
        }
        return differences
    }

    private static func compare(
        _ chain: Chain, with present: [String]
    ) throws(NetSetupError) -> [CaptureDifference] {
        var differences: [CaptureDifference] = []
        let wanted = try kernelTexts(of: chain)
        for (rule, text) in zip(chain.rules, wanted) where !present.contains(text) {
            differences.append(.ruleMissing(chain: chain.name, rule))
        }
        let extra = present.count { !wanted.contains($0) }
        if extra > 0 { differences.append(.rulesUnknown(chain: chain.name, count: extra)) }
        if differences.isEmpty, present != wanted { differences.append(.rulesReordered(chain: chain.name)) }
        return differences
    }

    /// The chain's rules as a listing would show them.
    static func kernelTexts(of chain: Chain) throws(NetSetupError) -> [String] {
        var texts: [String] = []
        for rule in chain.rules {
            let encoder = try RuleEncoder(rule, chain: chain.name)
            guard let text = encoder.text else { throw .system("encode a rule", ENOMEM) }
            texts.append(text)
        }
        return texts
    }

    // MARK: routing

    /// The families that the kernel has.
    private static var families: [Bool] { SmallFile.exists("/proc/net/if_inet6") ? [false, true] : [false] }

    /// Where IPv6 is switched off on `lo`, the kernel takes no local route for it, and the last policy rule refuses what
    /// other interfaces send.
    private static func hasLoopback(_ isIPv6: Bool) -> Bool {
        !isIPv6 || SmallFile.number("/proc/sys/net/ipv6/conf/lo/disable_ipv6") != 1
    }

    private static func policies(_ isIPv6: Bool) throws(NetSetupError) -> [nf_policy] {
        var list = [nf_policy](repeating: nf_policy(), count: 1_024)
        let count = unsafe nf_policy_list(isIPv6 ? 1 : 0, &list, CInt(list.count))
        try check("read policy rules", count)
        return Array(list.prefix(Int(count)))
    }

    private static func delete(_ policy: nf_policy) throws(NetSetupError) {
        var policy = policy
        try check("delete a policy rule", unsafe nf_policy_delete(&policy))
    }

    /// By the priorities, which nobody else has.
    private static func isOurs(_ policy: nf_policy) -> Bool {
        (CapturePlan.markPriority...CapturePlan.refusalPriority).contains(policy.priority)
    }

    private static func same(_ left: nf_policy, _ right: nf_policy) -> Bool {
        left.is_ipv6 == right.is_ipv6 && left.priority == right.priority && left.table == right.table
            && left.mark == right.mark && left.mark_mask == right.mark_mask
            && left.source_length == right.source_length && left.comes_from_loopback == right.comes_from_loopback
            && (left.source_length == 0 || left.sourceBytes == right.sourceBytes)
    }
}

@discardableResult
func check(_ attempt: String, _ result: CInt) throws(NetSetupError) -> CInt {
    guard result >= 0 else { throw .system(attempt, result) }
    return result
}

extension Chain {
    /// As the C side describes a chain of the kernel.
    fileprivate var kernelText: String {
        guard let hook else { return "plain" }
        return "\(hook.type) hook \(hook.place.rawValue) priority \(hook.priority) policy 1"
    }
}

extension PolicyRule {
    fileprivate var raw: nf_policy {
        var policy = nf_policy()
        policy.is_ipv6 = isIPv6 ? 1 : 0
        policy.priority = priority
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
    fileprivate var sourceBytes: [UInt8] {
        get { unsafe withUnsafeBytes(of: source) { unsafe Array($0) } }
        set {
            unsafe withUnsafeMutableBytes(of: &source) { bytes in
                for (index, byte) in newValue.prefix(16).enumerated() { unsafe bytes[index] = byte }
            }
        }
    }
}
