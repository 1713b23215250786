/// Where the application is asked whether it is ready, over plain HTTP.
package struct ReadinessURL: Sendable, Equatable {
    package let host: String
    package let port: UInt16
    /// As the Host field has it.
    package let authority: String
    package let path: String
    /// With its question mark, or empty; it may hold a token.
    package let query: String

    package init?(_ text: String) {
        guard !text.contains("#"), text.utf8.allSatisfy({ (0x21..<0x7f).contains($0) }) else { return nil }
        let mark = text.firstIndex(of: "?") ?? text.endIndex
        guard let url = try? UpstreamURL(String(text[..<mark])), url.scheme == .http else { return nil }
        host = url.host
        port = url.port
        authority = url.authority
        // The slash at the end counts here: `/health/` may be another page than `/health`.
        let start = text.index(text.startIndex, offsetBy: "http://".count)
        path = text[start..<mark].firstIndex(of: "/").map { String(text[$0..<mark]) } ?? "/"
        query = String(text[mark...])
    }
}
