import Addressing

/// A request to the monitor port.
struct MonitorRequest {
    let method: Method
    let path: String
    /// Decoded, in the order given.
    let query: [(name: String, value: String)]
    let peer: Endpoint
    /// What was asked: an address of the pod.
    let local: Endpoint?
    let userAgent: String?
    let body: [UInt8]

    /// - Parameter target: path and query as they came.
    init(
        _ method: Method, target: String, from peer: Endpoint, to local: Endpoint? = nil, userAgent: String? = nil,
        body: [UInt8]
    ) {
        self.method = method
        self.peer = peer
        self.local = local
        self.userAgent = userAgent
        self.body = body
        let mark = target.firstIndex(of: "?") ?? target.endIndex
        path = String(target[..<mark])
        query = target[mark...].dropFirst().split(separator: "&").map { pair in
            let equals = pair.firstIndex(of: "=") ?? pair.endIndex
            return (MonitorRequest.decoded(pair[..<equals]), MonitorRequest.decoded(pair[equals...].dropFirst()))
        }
    }

    private static func decoded(_ text: Substring) -> String {
        let bytes = Array(text.utf8)
        var result: [UInt8] = []
        var index = 0
        while index < bytes.count {
            if bytes[index] == UInt8(ascii: "%"), index + 2 < bytes.count,
                let value = UInt8(String(decoding: bytes[index + 1...index + 2], as: UTF8.self), radix: 16)
            {
                result.append(value)
                index += 3
            } else {
                result.append(bytes[index] == UInt8(ascii: "+") ? 0x20 : bytes[index])
                index += 1
            }
        }
        return String(decoding: result, as: UTF8.self)
    }
}

/// An answer of the monitor port.
struct MonitorAnswer {
    enum Content: String {
        case text = "text/plain; charset=utf-8"
        case json = "application/json"
        /// Prometheus' text format.
        case metrics = "text/plain; version=0.0.4; charset=utf-8"
    }

    let status: UInt16
    let content: Content
    let body: [UInt8]

    init(_ status: UInt16, _ sentence: String) {
        self.status = status
        content = .text
        body = Array((sentence + "\n").utf8)
    }

    init(_ content: Content, _ body: [UInt8]) {
        status = 200
        self.content = content
        self.body = body
    }

    /// A JSON document of its own line.
    init(_ json: JSONWriter) { self.init(.json, json.bytes + [0x0a]) }
}
