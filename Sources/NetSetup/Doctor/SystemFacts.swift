import Files
import Glibc

/// What a doctor looks at, read once: everything after this is judgement.
struct SystemFacts {
    var processes: [ProcessFacts]
    /// The process that asks.
    var ownID: Int
    var ownNetwork: UInt64?
    var listeners: Reading<[Listener]>
    /// Differences from the plan.
    var table: Reading<[CaptureDifference]>
    var routing: Reading<[CaptureDifference]>
    /// Policy rules of others that are asked before those of the plan, and may be for captured packets.
    var doubtfulPolicies: Reading<[(isIPv6: Bool, priority: UInt32)]>
    /// What the rules do, whether or not they can be read.
    var canary: Canary.Answer
    var counters: Reading<CaptureCounters>
    /// Tables of other programs.
    var otherChains: Reading<[Listing.Entry]>
    var otherRules: Reading<[Listing.Entry]>
    /// Tables of the older iptables; nil where they cannot be read.
    var legacyTables: [String]?
    var sysctls: [String: Int]
    /// Major and minor.
    var kernel: KernelVersion?
    var hasIPv6: Bool

    static func gather(_ plan: CapturePlan) -> SystemFacts {
        SystemFacts(
            processes: ProcessFacts.all(), ownID: Int(getpid()), ownNetwork: SmallFile.inode("/proc/self/net/tcp"),
            listeners: Reading(Listener.all),
            table: Reading { () throws(NetSetupError) in try CaptureInstaller.verifyTable(plan) },
            routing: Reading { () throws(NetSetupError) in try CaptureRouting(plan).differences() },
            doubtfulPolicies: Reading { () throws(NetSetupError) in try CaptureRouting(plan).doubtfulPolicies() },
            canary: Canary.send(plan),
            counters: Reading { () throws(NetSetupError) in try CaptureCounters(reading: plan) },
            otherChains: Reading { () throws(NetSetupError) in try Listing.chains(.all).filter(\.isForeign) },
            otherRules: Reading { () throws(NetSetupError) in try Listing.rules(.all).filter(\.isForeign) },
            legacyTables: legacyTables(), sysctls: sysctls(),
            kernel: SmallFile.text("/proc/sys/kernel/osrelease").flatMap(KernelVersion.init),
            hasIPv6: SmallFile.exists("/proc/net/if_inet6"))
    }

    private static func legacyTables() -> [String]? {
        let files = ["/proc/net/ip_tables_names", "/proc/net/ip6_tables_names"].filter(SmallFile.exists)
        let texts = files.compactMap(SmallFile.text)
        guard texts.count == files.count else { return nil }
        return Set(texts.flatMap { $0.split(separator: "\n").map(String.init) }).sorted()
    }

    private static func sysctls() -> [String: Int] {
        var values: [String: Int] = [:]
        for name in SysctlCheck.names {
            values[name] = SmallFile.number("/proc/sys/" + name.split(separator: ".").joined(separator: "/"))
        }
        return values
    }
}

extension Listing.Entry {
    var isForeign: Bool { family != .inet || table != CapturePlan.table }
}

struct KernelVersion: Comparable {
    let major: Int
    let minor: Int

    init(_ major: Int, _ minor: Int) {
        self.major = major
        self.minor = minor
    }

    /// Reads `uname -r`.
    init?(_ release: String) {
        let numbers = release.split { !$0.isNumber }.prefix(2).compactMap { Int($0) }
        guard numbers.count == 2 else { return nil }
        self.init(numbers[0], numbers[1])
    }

    static func < (left: KernelVersion, right: KernelVersion) -> Bool {
        (left.major, left.minor) < (right.major, right.minor)
    }
}
