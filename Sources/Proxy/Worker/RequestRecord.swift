import Addressing

/// What the access log will say about one request. It is used again, and so is the one buffer that its texts lie in.
final class RequestRecord {
    let connection: ConnectionRecord
    var startedAt: Int64 = 0
    var status: UInt16 = 0
    var flags: StaticString = "-"
    var bytesReceived: UInt64 = 0
    var bytesSent: UInt64 = 0
    var upstream: Endpoint?
    /// Why the upstream gave no whole answer, one sentence.
    var reason: String?
    private(set) var version: HTTPVersion
    /// What the connection speaks, where a request does not say it.
    private let connectionVersion: HTTPVersion
    private(set) var text: [UInt8] = []
    private(set) var method = 0..<0
    private(set) var path = 0..<0
    private(set) var authority = 0..<0
    private(set) var requestID = 0..<0
    private(set) var isRunning = false

    /// Longest piece of a request that is kept for the log.
    static let maximumTextBytes = 1_024

    init(connection: ConnectionRecord, _ version: HTTPVersion = .http1_1) {
        self.connection = connection
        self.version = version
        connectionVersion = version
    }

    func begin(at now: Int64) {
        startedAt = now
        isRunning = true
    }

    /// Keeps the texts of a request. The query is left out: it may hold secrets.
    func describe(
        _ head: borrowing RequestHead, _ bytes: Span<UInt8>, madeID: [UInt8]
    ) {
        text.removeAll(keepingCapacity: true)
        version = head.isHTTP2 ? .http2 : head.minorVersion == 0 ? .http1_0 : .http1_1
        keep(bytes, method: head.methodRange, pathAndQuery: head.pathAndQuery, authority: head.authority)
        if !madeID.isEmpty {
            requestID = keep(madeID.span, 0..<madeID.count)
        } else if let brought = head.fields.requestID {
            requestID = keep(bytes, brought.range)
        }
    }

    /// Keeps what is known of a request that was refused for its head.
    func describe(_ line: RequestParser.Line, _ bytes: Span<UInt8>) {
        text.removeAll(keepingCapacity: true)
        if connectionVersion != .http2, line.minorVersion == 0 { version = .http1_0 }
        keep(bytes, method: line.methodRange, pathAndQuery: line.pathAndQuery, authority: line.authority)
    }

    func reset() {
        version = connectionVersion
        status = 0
        flags = "-"
        bytesReceived = 0
        bytesSent = 0
        upstream = nil
        reason = nil
        isRunning = false
        text.removeAll(keepingCapacity: true)
        (method, path, authority, requestID) = (0..<0, 0..<0, 0..<0, 0..<0)
    }

    private func keep(
        _ bytes: Span<UInt8>, method methodRange: ByteRange, pathAndQuery: ByteRange,
        authority authorityRange: ByteRange
    ) {
        method = keep(bytes, methodRange.range)
        let target = pathAndQuery.range
        var end = target.lowerBound
        while end < target.upperBound, bytes[end] != UInt8(ascii: "?") { end += 1 }
        path = keep(bytes, target.lowerBound..<end)
        authority = keep(bytes, authorityRange.range)
    }

    private func keep(_ bytes: Span<UInt8>, _ range: Range<Int>) -> Range<Int> {
        let start = text.count
        let kept = bytes.extracting(range.prefix(RequestRecord.maximumTextBytes))
        unsafe kept.withUnsafeBufferPointer { unsafe text.append(contentsOf: $0) }
        return start..<text.count
    }
}
