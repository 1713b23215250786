import Glibc

/// Small files, read whole: certificates, and what the kernel tells in /proc and /sys.
package enum SmallFile {
    package enum Content {
        case bytes([UInt8])
        case absent
        /// Why, in words.
        case unreadable(String)

        package var isAbsent: Bool {
            switch self {
            case .absent: true
            case .bytes, .unreadable: false
            }
        }
    }

    /// Far beyond any bundle; a device or a log by mistake must not fill the memory.
    package static let maximumBytes = 4 << 20

    /// Regular files only, as those of /proc and /sys are too: a pipe or a device may keep its reader waiting for ever.
    package static func read(_ path: String) -> Content {
        var status = stat()
        // Before it is opened, which some devices take for a command; and after, since it may have been replaced.
        if unsafe stat(path, &status) == 0, let other = otherKind(status) { return other }
        let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard descriptor >= 0 else {
            return errno == ENOENT || errno == ENOTDIR ? .absent : .unreadable(reason(errno))
        }
        defer { close(descriptor) }
        guard unsafe fstat(descriptor, &status) == 0 else { return .unreadable(reason(errno)) }
        if let other = otherKind(status) { return other }
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 65_536)
        while bytes.count <= maximumBytes {
            let count = unsafe Glibc.read(descriptor, &buffer, buffer.count)
            if count == 0 { return .bytes(bytes) }
            if count < 0 {
                if errno == EINTR { continue }
                return .unreadable(reason(errno))
            }
            bytes.append(contentsOf: buffer[0..<count])
        }
        return .unreadable("it is larger than \(maximumBytes) bytes")
    }

    /// nil where it cannot be read, for whatever reason.
    package static func bytes(_ path: String) -> [UInt8]? {
        guard case .bytes(let bytes) = read(path) else { return nil }
        return bytes
    }

    package static func text(_ path: String) -> String? { bytes(path).map { String(decoding: $0, as: UTF8.self) } }

    /// The number that a file of /proc or /sys begins with.
    package static func number(_ path: String) -> Int? {
        text(path).flatMap { Int($0.prefix { !$0.isWhitespace }) }
    }

    package static func exists(_ path: String) -> Bool { unsafe access(path, F_OK) == 0 }

    /// The number that tells one file of a file system from another.
    package static func inode(_ path: String) -> UInt64? {
        var status = stat()
        guard unsafe stat(path, &status) == 0 else { return nil }
        return UInt64(status.st_ino)
    }

    /// The names in a directory, `.` and `..` among them; none where it cannot be read.
    package static func names(in directory: String) -> [String] {
        guard let handle = unsafe opendir(directory) else { return [] }
        defer { unsafe closedir(handle) }
        var names: [String] = []
        while let entry = unsafe readdir(handle) {
            // `d_name` ends with a zero.
            names.append(
                unsafe withUnsafeBytes(of: &entry.pointee.d_name) {
                    unsafe String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
                })
        }
        return names
    }

    /// Where a link leads, as it is written; nil for anything else.
    package static func target(ofLink link: String) -> String? {
        var text = [CChar](repeating: 0, count: Int(PATH_MAX))
        let count = unsafe readlink(link, &text, text.count)
        guard count > 0, count < text.count else { return nil }
        return String(decoding: text.prefix(count).map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    /// What it is instead of a regular file.
    private static func otherKind(_ status: stat) -> Content? {
        let kind: String
        switch status.st_mode & S_IFMT {
        case S_IFREG: return nil
        case S_IFDIR: kind = "a directory"
        case S_IFIFO: kind = "a named pipe"
        case S_IFSOCK: kind = "a socket"
        case S_IFCHR, S_IFBLK: kind = "a device"
        case _: kind = "no file"
        }
        return .unreadable("it is \(kind), and a regular file is needed")
    }

    private static func reason(_ number: CInt) -> String { unsafe String(cString: strerror(number)) }
}
