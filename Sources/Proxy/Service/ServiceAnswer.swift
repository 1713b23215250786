/// An answer of a service, whole.
package struct ServiceAnswer {
    package enum Content: String {
        case text = "text/plain; charset=utf-8"
        case json = "application/json"
        /// Prometheus' text format.
        case metrics = "text/plain; version=0.0.4; charset=utf-8"
    }

    package let status: UInt16
    package let content: Content
    package let body: [UInt8]
    /// The methods that the path takes, where the request's is none of them (RFC 9110 section 15.5.6).
    private(set) var allow: String?

    package init(_ status: UInt16, _ sentence: String) {
        self.status = status
        content = .text
        body = Array((sentence + "\n").utf8)
    }

    /// 405.
    static func use(_ methods: String) -> ServiceAnswer {
        var answer = ServiceAnswer(405, "use \(methods)")
        answer.allow = methods
        return answer
    }

    package init(_ content: Content, _ body: [UInt8], status: UInt16 = 200) {
        self.status = status
        self.content = content
        self.body = body
    }

    /// A JSON document of its own line.
    package init(_ json: JSONWriter) { self.init(.json, json.bytes + [0x0a]) }
}
