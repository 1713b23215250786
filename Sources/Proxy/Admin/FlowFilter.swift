/// Which flows a reader of `/flows` wants, by the query of its request.
struct FlowFilter {
    private var direction: Direction?
    private var statuses: ClosedRange<UInt16>?
    private var method: [UInt8]?
    private var pathPrefix: [UInt8]?
    private var authority: [UInt8]?
    /// An address, or a glob over the peer's identity.
    private var peer: String?
    private var minimumMicroseconds: Int64?

    /// Why a query is no filter: a sentence.
    struct Malformed: Error { let sentence: String }

    init(_ query: [(name: String, value: String)]) throws(Malformed) {
        for (name, value) in query {
            switch name {
            case "direction":
                guard let known = Direction.allCases.first(where: { "\($0.name)" == value }) else {
                    throw Malformed(sentence: "direction must be inbound or outbound")
                }
                direction = known
            case "status":
                guard let range = FlowFilter.statuses(value) else {
                    throw Malformed(sentence: "status must be a number like 404, or a class like 5xx")
                }
                statuses = range
            case "method": method = Array(value.utf8)
            case "path": pathPrefix = Array(value.utf8)
            case "authority": authority = Array(value.utf8)
            case "peer": peer = value
            case "min_duration_ms":
                guard let milliseconds = Int64(value), (0...86_400_000).contains(milliseconds) else {
                    throw Malformed(sentence: "min_duration_ms must be a number of milliseconds")
                }
                minimumMicroseconds = milliseconds * 1_000
            case _:
                throw Malformed(
                    sentence: "no such filter: direction, status, method, path, authority, peer, min_duration_ms")
            }
        }
    }

    func admits(_ flow: Flow) -> Bool {
        if let direction, flow.direction != direction { return false }
        if let statuses, !statuses.contains(flow.status) { return false }
        if let method, flow.method != method { return false }
        if let pathPrefix, !flow.path.starts(with: pathPrefix) { return false }
        if let authority, flow.authority != authority { return false }
        if let peer, flow.peer != peer, !Glob.matches(peer, flow.peerIdentity) { return false }
        if let minimumMicroseconds, flow.microseconds < minimumMicroseconds { return false }
        return true
    }

    private static func statuses(_ text: String) -> ClosedRange<UInt16>? {
        if text.hasSuffix("xx"), text.utf8.count == 3, let digit = UInt16(text.prefix(1)), digit < 6 {
            return digit * 100...digit * 100 + 99
        }
        return UInt16(text).map { $0...$0 }
    }
}
