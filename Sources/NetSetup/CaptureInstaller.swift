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
        for isIPv6 in [false, true] {
            try check("add the route of table \(plan.routingTable)", nf_route_add(isIPv6 ? 1 : 0, plan.routingTable))
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

    /// What differs between the kernel and the plan, a sentence each; empty when nothing does.
    package static func verify(_ plan: CapturePlan) throws(NetSetupError) -> [String] {
        var differences = try compareTable(plan)
        for isIPv6 in [false, true] {
            let family = isIPv6 ? "IPv6" : "IPv4"
            if try check("read routes", nf_route_exists(isIPv6 ? 1 : 0, plan.routingTable)) == 0 {
                differences.append("the \(family) route `local default dev lo table \(plan.routingTable)` is missing")
            }
            let present = try policies(isIPv6)
            let wanted = plan.policyRules.filter { $0.isIPv6 == isIPv6 }
            for rule in wanted where !present.contains(where: { same($0, rule.raw) }) {
                differences.append("the \(family) policy rule with priority \(rule.priority) is missing")
            }
            for rule in present where isOurs(rule) && !wanted.contains(where: { same($0.raw, rule) }) {
                differences.append(
                    "there is an \(family) policy rule with priority \(rule.priority) that is not in the plan")
            }
        }
        return differences
    }

    /// Takes away everything that `apply` put there; nothing is there already is no error.
    package static func remove(_ plan: CapturePlan) throws(NetSetupError) {
        let transaction = try Transaction()
        try transaction.removeTable()
        for isIPv6 in [false, true] {
            for rule in try policies(isIPv6) where isOurs(rule) { try delete(rule) }
            let result = nf_route_delete(isIPv6 ? 1 : 0, plan.routingTable)
            if result != -ESRCH, result != -ENOENT { try check("delete the route", result) }
        }
    }

    // MARK: the table

    private static func compareTable(_ plan: CapturePlan) throws(NetSetupError) -> [String] {
        let chains = try Listing.chains()
        guard !chains.isEmpty else { return ["the table inet \(CapturePlan.table) is missing"] }
        let rules = try Listing.rules()
        var differences: [String] = []
        for chain in plan.chains {
            guard let found = chains.first(where: { $0.name == chain.name }) else {
                differences.append("the chain \(chain.name) is missing")
                continue
            }
            if found.text != chain.kernelText {
                differences.append("the chain \(chain.name) is `\(found.text)` instead of `\(chain.kernelText)`")
            }
            let present = rules.filter { $0.name == chain.name }.map(\.text)
            differences += try compare(chain, with: present)
        }
        for found in chains where !plan.chains.contains(where: { $0.name == found.name }) {
            differences.append("there is a chain \(found.name) that is not in the plan")
        }
        return differences
    }

    private static func compare(_ chain: Chain, with present: [String]) throws(NetSetupError) -> [String] {
        var differences: [String] = []
        var wanted: [(rule: Rule, text: String)] = []
        for rule in chain.rules {
            let encoder = try RuleEncoder(rule, chain: chain.name)
            guard let text = encoder.text else { throw .system("encode a rule", ENOMEM) }
            wanted.append((rule, text))
        }
        for (rule, text) in wanted where !present.contains(text) {
            differences.append("in the chain \(chain.name) the rule `\(rule.text)` is missing or changed")
        }
        let extra = present.filter { text in !wanted.contains { $0.text == text } }.count
        if extra > 0 {
            differences.append("in the chain \(chain.name) there are \(extra) rules that are not in the plan")
        }
        if differences.isEmpty, present != wanted.map(\.text) {
            differences.append("the rules of the chain \(chain.name) are in another order or repeated")
        }
        return differences
    }

    // MARK: policy rules

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
        policy.priority == CapturePlan.markPriority || policy.priority == CapturePlan.loopbackPriority
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
        policy.table = table
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
