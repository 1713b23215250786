import Files
import CLinux

/// How many processors this process may keep busy: by affinity, and by the cgroup's quota.
package enum UsableCPUs {
    package static func count() -> Int {
        let byAffinity = max(1, Int(linux_affinity_count()))
        guard let quota = cgroupQuota() else { return byAffinity }
        return max(1, min(byAffinity, quota))
    }

    /// Whole processors of the CPU quota, rounded up; nil for none. Version 2 first, then version 1.
    private static func cgroupQuota() -> Int? {
        if let text = read("/sys/fs/cgroup/cpu.max") {
            let parts = text.split(whereSeparator: { $0 == " " || $0 == "\n" })
            guard parts.count == 2, let quota = Int(parts[0]), let period = Int(parts[1]) else { return nil }
            return roundedUp(quota, period)
        }
        guard let quota = read("/sys/fs/cgroup/cpu/cpu.cfs_quota_us").flatMap({ Int($0.dropLast()) }), quota > 0,
            let period = read("/sys/fs/cgroup/cpu/cpu.cfs_period_us").flatMap({ Int($0.dropLast()) })
        else { return nil }
        return roundedUp(quota, period)
    }

    private static func roundedUp(_ quota: Int, _ period: Int) -> Int? {
        period > 0 ? (quota + period - 1) / period : nil
    }

    private static func read(_ path: String) -> String? {
        guard case .bytes(let bytes) = SmallFile.read(path) else { return nil }
        return String(decoding: bytes, as: UTF8.self)
    }
}
