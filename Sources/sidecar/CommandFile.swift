import Glibc
import Proxy

/// Files of a command: read whole, written whole.
enum CommandFile {
    /// More than any manifest: a device or a wrong file ends here and not in memory.
    static let maximumBytes = 64 << 20

    static func name(_ path: String) -> String { path == "-" ? "standard input" : path }

    /// - Parameter path: `-` is standard input.
    static func read(_ path: String) throws(FatalError) -> [UInt8] {
        guard path != "-" else { return try contents(STDIN_FILENO, path) }
        let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw failure("read", path) }
        defer { close(descriptor) }
        return try contents(descriptor, path)
    }

    private static func contents(_ descriptor: CInt, _ path: String) throws(FatalError) -> [UInt8] {
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 65_536)
        while true {
            let count = unsafe Glibc.read(descriptor, &buffer, buffer.count)
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { throw failure("read", path) }
            guard count > 0 else { return bytes }
            bytes += buffer[..<count]
            guard bytes.count <= maximumBytes else {
                throw FatalError("\(name(path)) has more than \(maximumBytes) bytes: it is no manifest")
            }
        }
    }

    /// - Parameter path: nil is standard output.
    static func write(_ bytes: [UInt8], to path: String?) throws(FatalError) {
        guard let path, path != "-" else { return try write(bytes, STDOUT_FILENO, "standard output") }
        let descriptor = unsafe open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else { throw failure("write", path) }
        defer { close(descriptor) }
        try write(bytes, descriptor, path)
    }

    /// Writes text and a line's end to standard output. What a command is asked for and cannot say is a failure.
    static func print(_ text: String) throws(FatalError) {
        try write(Array((text + "\n").utf8), STDOUT_FILENO, "standard output")
    }

    private static func write(_ bytes: [UInt8], _ descriptor: CInt, _ path: String) throws(FatalError) {
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = unsafe rest.withUnsafeBytes { unsafe Glibc.write(descriptor, $0.baseAddress, $0.count) }
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { throw failure("write", path) }
            rest = rest.dropFirst(count)
        }
    }

    private static func failure(_ verb: String, _ path: String) -> FatalError {
        FatalError("cannot \(verb) \(name(path)): \(unsafe String(cString: strerror(errno)))")
    }
}
