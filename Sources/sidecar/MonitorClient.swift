import Addressing
import ArgumentParser
import Glibc
import Proxy

/// Asks the monitor port of the sidecar in this pod: one request a connection, blocking, over IPv4 loopback.
///
/// It stands in for curl in images that have neither curl nor a shell.
struct MonitorClient {
    struct Answer {
        let status: Int
        /// Lines of text, without the last line's end.
        let body: String
    }

    /// Why there is no answer: a sentence.
    struct Failure: Error {
        let sentence: String
        /// Nobody listens on the port.
        var isRefusal = false
    }

    let port: UInt16
    /// A whole exchange takes this long at most, however its answer dribbles.
    var limit: Duration

    static let maximumBytes = 1 << 20

    init(port: UInt16, seconds: Int) {
        self.port = port
        limit = .seconds(seconds)
    }

    /// - Parameter port: what the command line says; else MONITOR_PORT.
    init(port: UInt16?, seconds: Int) throws(FatalError) {
        if let port { self.port = port } else { self.port = try MonitorClient.portOfEnvironment() }
        limit = .seconds(seconds)
    }

    private static func portOfEnvironment() throws(FatalError) -> UInt16 {
        guard let text = Environment.variables["MONITOR_PORT"] else { return 8081 }
        guard text != "0" else {
            throw FatalError("MONITOR_PORT=0 disables the monitor port: set it to a port, there is nobody to ask")
        }
        guard let port = PortSet.port(text) else {
            throw FatalError("MONITOR_PORT=\(text) is not valid: it must be a port, or 0 to disable it")
        }
        return port
    }

    func ask(_ method: String, _ path: String) throws(Failure) -> Answer {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { throw failure("open a socket") }
        defer { close(descriptor) }
        let end = ContinuousClock.now + limit
        try bound(descriptor, SO_SNDTIMEO, end)  // connect(2) too
        try connect(descriptor)
        let request = "\(method) \(path) HTTP/1.1\r\nhost: localhost\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
        try send(Array(request.utf8), descriptor)
        return try MonitorClient.parse(try receive(descriptor, until: end))
    }

    /// Has the next call on a socket end with the exchange.
    private func bound(_ descriptor: CInt, _ option: CInt, _ end: ContinuousClock.Instant) throws(Failure) {
        let left = (end - ContinuousClock.now).components
        guard left.seconds > 0 || left.seconds == 0 && left.attoseconds > 0 else { throw tooLate }
        // Zero would be for ever.
        var time = timeval(tv_sec: Int(left.seconds), tv_usec: max(1, Int(left.attoseconds / 1_000_000_000_000)))
        _ = unsafe setsockopt(descriptor, SOL_SOCKET, option, &time, socklen_t(MemoryLayout<timeval>.size))
    }

    private var tooLate: Failure {
        let (seconds, tenths) = (limit.components.seconds, limit.components.attoseconds / 100_000_000_000_000_000)
        let text = tenths == 0 ? "\(seconds)" : "\(seconds).\(tenths)"
        return Failure(sentence: "the monitor port 127.0.0.1:\(port) has given no answer within \(text) s")
    }

    /// Has something done; anything but yes for an answer is the end of the command.
    func post(_ path: String) throws(FatalError) {
        do throws(Failure) {
            let answer = try ask("POST", path)
            if (200...299).contains(answer.status) { return }
            throw Failure(sentence: "POST \(path) is answered \(answer.status): \(answer.body)")
        } catch {
            throw FatalError(error.sentence)
        }
    }

    private func connect(_ descriptor: CInt) throws(Failure) {
        var name = sockaddr_in()
        name.sin_family = sa_family_t(AF_INET)
        name.sin_port = port.bigEndian
        name.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
        let result = unsafe withUnsafePointer(to: &name) { pointer in
            unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                unsafe Glibc.connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        guard result == 0 else {
            guard errno == ECONNREFUSED else { throw failure("connect") }
            throw Failure(sentence: "nobody listens on the monitor port 127.0.0.1:\(port)", isRefusal: true)
        }
    }

    private func send(_ bytes: [UInt8], _ descriptor: CInt) throws(Failure) {
        // So short a request fits into the buffer of a new socket whole.
        let count = unsafe Glibc.send(descriptor, bytes, bytes.count, Int32(MSG_NOSIGNAL))
        guard count == bytes.count else { throw failure("send the request") }
    }

    private func receive(
        _ descriptor: CInt, until end: ContinuousClock.Instant
    ) throws(Failure) -> [UInt8] {
        var received: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 16_384)
        while received.count < MonitorClient.maximumBytes {
            try bound(descriptor, SO_RCVTIMEO, end)
            let count = unsafe recv(descriptor, &buffer, buffer.count, 0)
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { throw failure("read the answer") }
            if count == 0 { return received }
            received.append(contentsOf: buffer[..<count])
        }
        throw Failure(sentence: "the answer of 127.0.0.1:\(port) is longer than \(MonitorClient.maximumBytes) bytes")
    }

    private func failure(_ attempt: String) -> Failure {
        let number = errno
        guard number != EAGAIN, number != EINPROGRESS else { return tooLate }
        let why = unsafe strerror(number).map { unsafe String(cString: $0) } ?? "error \(number)"
        return Failure(sentence: "cannot \(attempt) at the monitor port 127.0.0.1:\(port): \(why)")
    }

    /// Reads a whole answer, head and body.
    static func parse(_ bytes: [UInt8]) throws(Failure) -> Answer {
        let text = String(decoding: bytes, as: UTF8.self)
        guard let end = text.range(of: "\r\n\r\n"), text.hasPrefix("HTTP/1."),
            let status = text.split(separator: " ", maxSplits: 2).dropFirst().first.flatMap({ Int($0.prefix(3)) })
        else { throw Failure(sentence: "what answers on the monitor port does not speak HTTP") }
        var body = String(text[end.upperBound...])
        while body.hasSuffix("\n") { body.removeLast() }
        return Answer(status: status, body: body)
    }
}

extension StringProtocol {
    /// Where the text occurs first.
    fileprivate func range(of wanted: String) -> Range<Index>? {
        var start = startIndex
        while start < endIndex {
            if self[start...].hasPrefix(wanted) { return start..<(index(start, offsetBy: wanted.count)) }
            start = index(after: start)
        }
        return nil
    }
}

/// Options that every command for the monitor port takes.
struct MonitorOptions: ParsableArguments {
    @Option(help: "The monitor port; else MONITOR_PORT, else 8081.")
    var port: UInt16?

    func validate() throws {
        guard port != 0 else { throw ValidationError("--port must be from 1 to 65535") }
    }
}
