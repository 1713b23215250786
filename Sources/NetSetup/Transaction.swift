import CNetfilter
import Glibc

/// One nftables transaction: the kernel takes all of it or nothing. Owns the library's batch.
@safe struct Transaction: ~Copyable {
    private let raw: OpaquePointer

    init() throws(NetSetupError) {
        guard let raw = unsafe nf_begin() else { throw .system("begin a transaction", ENOMEM) }
        unsafe self.raw = raw
    }

    deinit { unsafe nf_free(raw) }

    /// The table of the plan, whatever stood there before.
    consuming func replaceTable(with plan: CapturePlan) throws(NetSetupError) {
        try check("replace the table", unsafe nf_replace_table(raw, CapturePlan.table))
        for chain in plan.chains {
            let result =
                if let hook = chain.hook {
                    unsafe nf_add_chain(
                        raw, CapturePlan.table, chain.name, hook.type, hook.place.rawValue, hook.priority)
                } else {
                    unsafe nf_add_chain(raw, CapturePlan.table, chain.name, nil, 0, 0)
                }
            try check("add the chain \(chain.name)", result)
        }
        for chain in plan.chains {
            for rule in chain.rules {
                let encoder = try RuleEncoder(rule, chain: chain.name)
                guard encoder.isComplete else { throw .system("encode a rule", ENOMEM) }
                try check("add a rule", unsafe nf_add_rule(raw, encoder.raw))
            }
        }
        try check("write the table inet \(CapturePlan.table)", unsafe nf_commit(raw))
    }

    /// No table, whether one stood there or not.
    consuming func removeTable() throws(NetSetupError) {
        try check("delete the table", unsafe nf_add_table(raw, CapturePlan.table))
        try check("delete the table", unsafe nf_delete_table(raw, CapturePlan.table))
        try check("delete the table inet \(CapturePlan.table)", unsafe nf_commit(raw))
    }
}
