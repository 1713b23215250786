import Files
import CLinux
import Glibc
import Logging

/// The fences that the proxy puts around itself once it has opened what it needs (docs/security.md).
///
/// A hole in a parser should lead nowhere: no program to start, no file to write, no packet to forge. Both
/// fences belong to the thread that puts them up and to those that it starts: call it before any thread starts. What the
/// kernel or the container runtime refuses is said in the log, and the proxy works without.
package enum Sandbox {
    /// Answers which fences stand.
    @discardableResult
    static func enter(_ paths: [String], _ logger: Logger) -> Fences {
        var fences = Fences()
        if let error = refusal("prctl PR_SET_DUMPABLE", linux_forbid_dumps()) {
            logger.warning("sandbox: the memory can be dumped", metadata: ["reason": "\(error)"])
            fences.gaps.append("the memory can be dumped: \(error)")
        } else {
            fences.memory = true
        }
        do throws(SystemError) {
            try restrictFiles(to: paths)
            logger.info("sandbox: files can only be read", metadata: ["beneath": "\(paths.joined(separator: " "))"])
            fences.files = true
        } catch {
            fences.gaps.append(explain("files are not restricted", error, logger))
        }
        if let error = refusal("seccomp", linux_refuse_calls()) {
            fences.gaps.append(explain("system calls are not restricted", error, logger))
        } else {
            logger.info("sandbox: system calls are restricted")
            fences.systemCalls = true
        }
        return fences
    }

    private static func restrictFiles(to paths: [String]) throws(SystemError) {
        let ruleset = Descriptor(owning: try SystemError.check("landlock_create_ruleset", linux_files_begin()))
        for path in paths {
            try SystemError.check("landlock_add_rule", unsafe linux_files_allow(ruleset.raw, path))
        }
        try SystemError.check("landlock_restrict_self", linux_files_enforce(ruleset.raw))
    }

    private static func refusal(_ call: StaticString, _ result: CInt) -> SystemError? {
        result < 0 ? SystemError(call: call, number: -result) : nil
    }

    /// Not to have it is usual on older kernels; to have it and be refused is worth a look.
    private static func explain(_ sentence: String, _ error: SystemError, _ logger: Logger) -> String {
        let isAbsent = error.number == ENOSYS || error.number == EOPNOTSUPP
        logger.log(level: isAbsent ? .info : .warning, "sandbox: \(sentence)", metadata: ["reason": "\(error)"])
        return "\(sentence): \(error)"
    }
}

/// What may be read.
extension Sandbox {
    /// Libraries and settings of libc and OpenSSL, which look for them late: name services above all.
    private static let system = ["/etc", "/usr", "/lib", "/lib64", "/proc", "/dev/urandom", "/dev/random"]

    /// Files beneath /etc that are often links to elsewhere, and whose targets are replaced.
    private static let nameServiceFiles = ["/etc/resolv.conf", "/etc/hosts", "/etc/nsswitch.conf"]

    static func readablePaths(_ configuration: Configuration) -> [String] {
        let directories = configuration.tls.directories
        return readablePaths(of: [directories.server, directories.client, directories.ca])
    }

    /// What the libraries read, and these directories.
    static func readablePaths(of directories: [String]) -> [String] {
        var paths = system.filter { realPath($0) != nil }
        paths += nameServiceFiles.compactMap { realPath($0).map(parent) }
        for directory in directories {
            paths += grants(forDirectory: directory)
        }
        return withoutRepetitions(paths)
    }

    /// What to allow so that the directory's files can be read now and after they, or the directory, are replaced.
    private static func grants(forDirectory configured: String) -> [String] {
        let path = configured.hasPrefix("/") ? configured : "\(realPath(".") ?? "")/\(configured)"
        guard let real = realPath(path) else {
            // It may appear later: whatever is there of the way to it, but never all files there are.
            var ancestor = parent(path)
            while realPath(ancestor) == nil, ancestor != "/" { ancestor = parent(ancestor) }
            return ancestor == "/" ? [] : [ancestor]
        }
        var paths = [real]
        // What is mounted, as volumes are, cannot be replaced; other directories can, by a new one of the same name.
        if unsafe linux_is_mount_root(real) != 1 {
            paths += [parent(path), parent(real)].filter { $0 != "/" }
        }
        for name in SmallFile.names(in: real) where name != ".." {
            if let target = realPath("\(real)/\(name)") {
                let holder = parent(target)
                paths.append(holder == "/" ? target : holder)
            }
        }
        return paths
    }

    /// A path beneath another one adds nothing.
    static func withoutRepetitions(_ paths: [String]) -> [String] {
        var kept: [String] = []
        for path in Set(paths).sorted() {
            let isCovered = kept.contains { $0 == "/" || path == $0 || path.hasPrefix($0 + "/") }
            if !isCovered { kept.append(path) }
        }
        return kept
    }

    private static func parent(_ path: String) -> String {
        guard let slash = path.lastIndex(of: "/"), slash != path.startIndex else { return "/" }
        return String(path[..<slash])
    }

    private static func realPath(_ path: String) -> String? {
        guard let resolved = unsafe realpath(path, nil) else { return nil }
        defer { unsafe free(resolved) }
        return unsafe String(cString: resolved)
    }
}
