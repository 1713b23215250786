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

    package static func read(_ path: String) -> Content {
        let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else {
            return errno == ENOENT || errno == ENOTDIR ? .absent : .unreadable(reason(errno))
        }
        defer { close(descriptor) }
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

    private static func reason(_ number: CInt) -> String { unsafe String(cString: strerror(number)) }
}
