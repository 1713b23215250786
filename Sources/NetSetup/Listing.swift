import CNetfilter
import Glibc

/// What the kernel holds of nftables: chains, or rules.
struct Listing {
    struct Entry: Equatable {
        var family: Family
        var table: String
        var chain: String
        /// Of a chain: type, hook, priority and policy, or `plain`. Of a rule: its expressions.
        var text: String
        /// What the rule's counter has counted.
        var packets: Int64?
    }

    /// NFPROTO_INET and its kin, as nft names them.
    enum Family: CInt {
        case inet = 1
        case ip = 2
        case arp = 3
        case netdev = 5
        case bridge = 7
        case ip6 = 10
    }

    /// Which tables: the sidecar's own, or all of them.
    enum Scope { case own, all }

    static func chains(_ scope: Scope = .own) throws(NetSetupError) -> [Entry] {
        unsafe try collect(scope, nf_list_chains)
    }

    /// In the order of each chain.
    static func rules(_ scope: Scope = .own) throws(NetSetupError) -> [Entry] {
        unsafe try collect(scope, nf_list_rules)
    }

    private final class Collection { var entries: [Entry] = [] }

    /// Rules that change while they are read are read again, so often at most.
    private static let attempts = 5

    private static func collect(
        _ scope: Scope, _ list: (UnsafePointer<CChar>?, nf_found?, UnsafeMutableRawPointer?) -> CInt
    ) throws(NetSetupError) -> [Entry] {
        let what =
            switch scope {
            case .own: "read the table inet \(CapturePlan.table)"
            case .all: "read the tables of nftables"
            }
        for _ in 0..<attempts {
            let collection = Collection()
            // Borrowed for the length of the call: `collection` outlives it.
            let context = unsafe Unmanaged.passUnretained(collection).toOpaque()
            let result =
                switch scope {
                case .own: unsafe list(CapturePlan.table, see, context)
                case .all: unsafe list(nil, see, context)
                }
            guard result != -EINTR else { continue }
            try check(what, result)
            return withExtendedLifetime(collection) { collection.entries }
        }
        throw .system(what, EINTR)
    }

    private static let see: nf_found = { context, entry in
        guard let context = unsafe context, let entry = unsafe entry?.pointee else { return }
        let collection = unsafe Unmanaged<Collection>.fromOpaque(context).takeUnretainedValue()
        guard let family = unsafe Family(rawValue: entry.family), let table = unsafe entry.table,
            let chain = unsafe entry.chain, let text = unsafe entry.text
        else { return }
        let packets = unsafe entry.packets
        collection.entries.append(
            unsafe Entry(
                family: family, table: String(cString: table), chain: String(cString: chain),
                text: String(cString: text), packets: packets < 0 ? nil : packets))
    }
}
