import Files
import Glibc

/// What /proc says about a process to everybody.
struct ProcessFacts: Equatable {
    var id: Int
    var parent: Int
    var name: String
    var arguments: [String]
    /// The effective user.
    var user: UInt32
    /// A bit per capability number.
    var effective: UInt64
    var permitted: UInt64
    var bounding: UInt64
    var hasNoNewPrivileges: Bool
    /// 0 none, 1 strict, 2 filter.
    var seccompMode: Int
    /// Tells network namespaces apart; nil when the process has ended.
    var network: UInt64?

    /// - Parameters:
    ///   - status: /proc/PID/status.
    ///   - commandLine: /proc/PID/cmdline, its parts ended by zero bytes.
    init?(id: Int, status: String, commandLine: [UInt8], network: UInt64?) {
        var fields: [Substring: Substring] = [:]
        for line in status.split(separator: "\n") {
            let parts = line.split(separator: ":", maxSplits: 1)
            if parts.count == 2 { fields[parts[0]] = parts[1].drop { $0 == "\t" || $0 == " " } }
        }
        func hex(_ name: Substring) -> UInt64 { fields[name].flatMap { UInt64($0, radix: 16) } ?? 0 }
        let users = fields["Uid"]?.split(separator: "\t") ?? []
        guard let name = fields["Name"], users.count >= 2, let user = UInt32(users[1]) else { return nil }
        self.id = id
        self.name = String(name)
        self.user = user
        self.network = network
        parent = fields["PPid"].flatMap { Int($0) } ?? 0
        arguments = commandLine.split(separator: 0).map { String(decoding: $0, as: UTF8.self) }
        effective = hex("CapEff")
        permitted = hex("CapPrm")
        bounding = hex("CapBnd")
        hasNoNewPrivileges = fields["NoNewPrivs"] == "1"
        seccompMode = fields["Seccomp"].flatMap { Int($0) } ?? 0
    }

    /// Every process that this one can see.
    static func all() -> [ProcessFacts] {
        SmallFile.names(in: "/proc").compactMap { Int($0) }.sorted().compactMap { ProcessFacts(reading: $0) }
    }

    private init?(reading id: Int) {
        guard let status = SmallFile.text("/proc/\(id)/status") else { return nil }
        // The links in /proc/PID/ns are hidden from other users; but each network namespace has files of its own
        // under /proc/PID/net, and their inodes are for everybody to see.
        self.init(
            id: id, status: status, commandLine: SmallFile.bytes("/proc/\(id)/cmdline") ?? [],
            network: SmallFile.inode("/proc/\(id)/net/tcp"))
    }

    /// One of this program's, whatever it does.
    var isThisProgram: Bool { name == "sidecar" }

    /// The proxy: `sidecar`, or `sidecar run`.
    var isProxy: Bool { isThisProgram && (arguments.count <= 1 || arguments[1] == "run") }

    func has(_ capability: Capability) -> Bool { effective >> capability.rawValue & 1 == 1 }
}

/// Numbers of capabilities(7).
enum Capability: UInt64 {
    case netAdmin = 12
    case netRaw = 13
}
