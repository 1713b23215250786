import CNetfilter
import Glibc

/// Puts a plan into the kernel of this network namespace, compares it with what is there, takes it away.
package enum CaptureInstaller {
    /// Applies the plan. What an earlier run left is replaced; other tables and rules are not touched.
    ///
    /// Routes come first and the table last, in one transaction: until it stands nothing is captured, and from then
    /// on everything.
    package static func apply(_ plan: CapturePlan) throws(NetSetupError) {
        try CaptureRouting(plan).apply()
        let transaction = try Transaction()
        try transaction.replaceTable(with: plan)
    }

    /// What differs between the kernel and the plan; empty when nothing does.
    package static func verify(_ plan: CapturePlan) throws(NetSetupError) -> [CaptureDifference] {
        try verifyTable(plan) + CaptureRouting(plan).differences()
    }

    /// As much of `verify` as this process may: reading nftables needs the capability NET_ADMIN, routes and policy rules
    /// need none, and with NET_RAW the rules can at least be heard.
    package static func verifyReadable(_ plan: CapturePlan) throws(NetSetupError) -> [CaptureDifference] {
        do {
            return try verify(plan)
        } catch {
            guard error.isPermission else { throw error }
            let isSilent = Canary.send(plan) == .passed
            return (isSilent ? [.rulesSilent] : []) + (try CaptureRouting(plan).differences())
        }
    }

    /// Takes away everything that `apply` put there; nothing is there already is no error.
    package static func remove(_ plan: CapturePlan) throws(NetSetupError) {
        let transaction = try Transaction()
        try transaction.removeTable()
        try CaptureRouting(plan).remove()
    }

    // MARK: the table

    static func verifyTable(_ plan: CapturePlan) throws(NetSetupError) -> [CaptureDifference] {
        var table = nf_table()
        try check("read the table inet \(CapturePlan.table)", unsafe nf_find_table(CapturePlan.table, &table))
        guard table.exists == 1 else { return [.tableMissing] }
        let chains = try Listing.chains()
        let rules = try Listing.rules()
        var differences: [CaptureDifference] = table.flags == 0 ? [] : [.tableFlagged(table.flags)]
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
