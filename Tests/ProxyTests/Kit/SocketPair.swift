import Glibc

@testable import Proxy

/// Two connected, non-blocking sockets; the near one belongs to what is tested.
final class SocketPair {
    let near: Descriptor
    private var far: Descriptor?

    init() throws {
        // As the proxy does at its start: OpenSSL writes to sockets whose peer may be gone.
        signal(SIGPIPE, SIG_IGN)
        var ends: [CInt] = [-1, -1]
        let kind = CInt(SOCK_STREAM.rawValue | SOCK_NONBLOCK.rawValue | SOCK_CLOEXEC.rawValue)
        guard unsafe socketpair(AF_UNIX, kind, 0, &ends) == 0 else { throw TestFailure("no socket pair") }
        near = Descriptor(owning: ends[0])
        far = Descriptor(owning: ends[1])
    }

    var farRaw: CInt { far?.raw ?? -1 }

    func sendFromFar(_ bytes: [UInt8]) { _ = unsafe send(farRaw, bytes, bytes.count, CInt(MSG_NOSIGNAL)) }

    func closeFar() { far = nil }
}

struct TestFailure: Error, CustomStringConvertible {
    let description: String

    init(_ description: String) { self.description = description }
}
