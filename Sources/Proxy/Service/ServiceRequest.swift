package import Addressing

/// A whole request to a service.
package struct ServiceRequest {
    package let method: Method
    package let path: String
    /// Decoded, in the order given.
    package let query: [(name: String, value: String)]
    package let peer: Endpoint
    let userAgent: String?
    /// Whom the client believes to ask, and what a browser adds: the page that asks, and how it is related to that.
    var host: String?
    var origin: String?
    var fetchSite: String?
    /// As it came; nil where the client says nothing.
    package let contentType: String?
    package internal(set) var body: [UInt8]

    init(_ head: RequestHead, _ bytes: [UInt8], from peer: Endpoint) {
        let target = String(decoding: bytes[head.pathAndQuery.range], as: UTF8.self)
        let span = bytes.span
        func value(_ name: StaticString) -> String? {
            let line = head.fields.lines.first { span.extracting($0.name.range).equalsIgnoringCase(name) }
            return line.map { span.extracting($0.value.range).text }
        }
        let type = head.fields.lines.first { $0.known == .contentType }
        self.init(
            head.method, target: target, from: peer, userAgent: value("user-agent"),
            contentType: type.map { span.extracting($0.value.range).text }, body: [])
        host = head.authority.isEmpty ? nil : span.extracting(head.authority.range).text
        origin = value("origin")
        fetchSite = value("sec-fetch-site")
    }

    /// - Parameter target: path and query as they came.
    init(
        _ method: Method, target: String, from peer: Endpoint, userAgent: String? = nil, contentType: String? = nil,
        body: [UInt8]
    ) {
        self.method = method
        self.contentType = contentType
        self.peer = peer
        self.userAgent = userAgent
        self.body = body
        let mark = target.firstIndex(of: "?") ?? target.endIndex
        path = String(target[..<mark])
        query = target[mark...].dropFirst().split(separator: "&").map { pair in
            let equals = pair.firstIndex(of: "=") ?? pair.endIndex
            return (ServiceRequest.decoded(pair[..<equals]), ServiceRequest.decoded(pair[equals...].dropFirst()))
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
