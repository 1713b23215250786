import Glibc

/// Reads one small file whole.
package enum SmallFile {
    package enum Content {
        case bytes([UInt8])
        case absent
        case unreadable(String)

        var isAbsent: Bool {
            switch self {
            case .absent: true
            case .bytes, .unreadable: false
            }
        }
    }

    /// Far beyond any bundle; a device or a log by mistake must not fill the memory.
    static let maximumBytes = 4 << 20

    package static func read(_ path: String) -> Content {
        let raw = unsafe open(path, O_RDONLY | O_CLOEXEC)
        guard raw >= 0 else {
            return errno == ENOENT || errno == ENOTDIR ? .absent : .unreadable(SystemError.text(errno))
        }
        let file = Descriptor(owning: raw)
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 65_536)
        while bytes.count <= maximumBytes {
            let count = unsafe Glibc.read(file.raw, &buffer, buffer.count)
            if count == 0 { return .bytes(bytes) }
            if count < 0 {
                if errno == EINTR { continue }
                return .unreadable(SystemError.text(errno))
            }
            bytes.append(contentsOf: buffer[0..<count])
        }
        return .unreadable("it is larger than \(maximumBytes) bytes")
    }

    /// The names in a directory; none where it cannot be read.
    static func names(in directory: String) -> [String] {
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
}
