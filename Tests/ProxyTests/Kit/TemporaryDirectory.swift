import Glibc

@testable import Proxy

/// A directory of one test, removed with it.
final class TemporaryDirectory {
    let path: String
    /// In the order they were made, so that they can be removed in the other.
    private var entries: [String] = []

    init() throws {
        var template = Array("/tmp/sidecar-test-XXXXXX".utf8CString)
        guard unsafe mkdtemp(&template) != nil else { throw TestFailure("no temporary directory") }
        path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    deinit {
        for entry in entries.reversed() { _ = unsafe Glibc.remove(entry) }
        _ = unsafe rmdir(path)
    }

    func write(_ text: String, to name: String) throws {
        let file = unsafe open(made(name), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
        guard file >= 0 else { throw TestFailure("cannot write \(name)") }
        defer { close(file) }
        let bytes = Array(text.utf8)
        guard unsafe Glibc.write(file, bytes, bytes.count) == bytes.count else {
            throw TestFailure("cannot write \(name)")
        }
    }

    func remove(_ name: String) { _ = unsafe Glibc.remove("\(path)/\(name)") }

    func makePipe(_ name: String) { _ = unsafe mkfifo(made(name), 0o600) }

    func makeDirectory(_ name: String) { _ = unsafe mkdir(made(name), 0o700) }

    /// Makes the link, or swaps it for what is there, as the kubelet does.
    func link(_ name: String, to target: String) {
        let next = "\(path)/\(name).new"
        _ = unsafe symlink(target, next)
        _ = unsafe rename(next, made(name))
    }

    private func made(_ name: String) -> String {
        entries.append("\(path)/\(name)")
        return "\(path)/\(name)"
    }
}
