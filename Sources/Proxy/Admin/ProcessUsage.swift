import Files
import Glibc

/// What this process uses of the machine, as Prometheus' clients name it.
package struct ProcessUsage {
    var cpuMicroseconds: UInt64 = 0
    var residentBytes: UInt64 = 0
    var virtualBytes: UInt64 = 0
    var openDescriptors: UInt64 = 0
    var maximumDescriptors: UInt64 = 0
    /// Since the epoch.
    var startSeconds: Int64 = 0

    package static func now() -> ProcessUsage {
        var usage = ProcessUsage()
        usage.readStat()
        usage.countDescriptors()
        return usage
    }

    package func write(to text: inout MetricsText) {
        text.begin("process_cpu_seconds_total", .counter, "User and system CPU time in seconds.")
        text.sample(microseconds: cpuMicroseconds)
        text.begin("process_resident_memory_bytes", .gauge, "Resident memory in bytes.")
        text.sample(residentBytes)
        text.begin("process_virtual_memory_bytes", .gauge, "Virtual memory in bytes.")
        text.sample(virtualBytes)
        text.begin("process_open_fds", .gauge, "Open file descriptors.")
        text.sample(openDescriptors)
        text.begin("process_max_fds", .gauge, "File descriptors that may be open.")
        text.sample(maximumDescriptors)
        text.begin("process_start_time_seconds", .gauge, "When the process started, in seconds since the epoch.")
        text.sample(startSeconds)
    }

    /// proc_pid_stat(5): fields counted from the state on, which follows the name in parentheses.
    private mutating func readStat() {
        guard case .bytes(let bytes) = SmallFile.read("/proc/self/stat"),
            let nameEnd = bytes.lastIndex(of: UInt8(ascii: ")"))
        else { return }
        let fields = bytes[(nameEnd + 1)...].split(separator: 0x20).map { String(decoding: $0, as: UTF8.self) }
        guard fields.count > 21 else { return }
        func field(_ number: Int) -> UInt64 { UInt64(fields[number - 3]) ?? 0 }
        let ticks = UInt64(max(1, sysconf(CInt(_SC_CLK_TCK))))
        cpuMicroseconds = (field(14) + field(15)) * (1_000_000 / ticks)
        startSeconds = ProcessUsage.bootSeconds + Int64(clamping: field(22) / ticks)
        virtualBytes = field(23)
        residentBytes = field(24) * UInt64(max(1, sysconf(CInt(_SC_PAGESIZE))))
    }

    private static var bootSeconds: Int64 {
        guard case .bytes(let bytes) = SmallFile.read("/proc/stat") else { return 0 }
        for line in bytes.split(separator: 0x0a) where line.starts(with: "btime ".utf8) {
            return Int64(String(decoding: line.dropFirst(6), as: UTF8.self)) ?? 0
        }
        return 0
    }

    /// /proc/self/fd is closed to a process that has changed its user, so each number that may be open is tried.
    private mutating func countDescriptors() {
        var limit = rlimit()
        guard unsafe getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return }
        maximumDescriptors = UInt64(limit.rlim_cur)
        for number in 0..<CInt(clamping: min(ProcessUsage.tableSize, maximumDescriptors))
        where fcntl(number, F_GETFD) >= 0 { openDescriptors += 1 }
    }

    /// How many descriptors the kernel's table has room for now: FDSize of proc_pid_status(5).
    private static var tableSize: UInt64 {
        guard case .bytes(let bytes) = SmallFile.read("/proc/self/status") else { return 0 }
        for line in bytes.split(separator: 0x0a) where line.starts(with: "FDSize:".utf8) {
            return UInt64(String(decoding: line.dropFirst(7).filter { $0 > 0x20 }, as: UTF8.self)) ?? 0
        }
        return 0
    }
}
