import Addressing

/// Where an answer of 3xx sends a probe, by the kubelet's rule: within the same pod it is followed, and from there the
/// pod's answer tells; elsewhere it is not, and passes.
enum Redirect: Equatable {
    case to(HTTPQuestion)
    case elsewhere
    case malformed

    /// What the kubelet's client goes along with.
    static let maximum = 10

    static func isFollowed(_ status: UInt16) -> Bool { [301, 302, 303, 307, 308].contains(status) }

    /// - Parameters:
    ///   - location: the answer's Location, as it came (RFC 9110 section 10.2.2).
    ///   - pod: the address that the question went to.
    static func from(_ question: HTTPQuestion, to location: String, pod: IPAddress) -> Redirect {
        var reference = Substring(location).prefix { $0 != "#" }
        guard reference.utf8.allSatisfy({ ByteClass.isTarget($0) }) else { return .malformed }
        var (isTLS, port) = (question.isTLS, question.port)
        if let mark = reference.firstRange(of: "//"),
            mark.lowerBound == reference.startIndex || isScheme(reference, mark)
        {
            let scheme = mark.lowerBound == reference.startIndex ? (isTLS ? "https:" : "http:") : ""
            let end = reference[mark.upperBound...].firstIndex { "/?".contains($0) } ?? reference.endIndex
            guard let url = try? UpstreamURL(scheme + reference[..<end]), url.scheme != .h2c else { return .malformed }
            guard IPAddress(url.host) == pod else { return .elsewhere }
            (isTLS, port) = (url.scheme == .https, url.port)
            reference = reference[end...]
            if !reference.hasPrefix("/") { reference = "/" + reference }
        } else if let colon = reference.firstIndex(of: ":"), !reference[..<colon].contains(where: { "/?".contains($0) })
        {
            return .malformed  // a scheme that is not HTTP's
        }
        return .to(
            HTTPQuestion(
                port: port, isTLS: isTLS, target: resolved(reference, against: question.target), fields: question.fields
            ))
    }

    private static func isScheme(_ reference: Substring, _ mark: Range<Substring.Index>) -> Bool {
        ["http:", "https:"].contains(reference[..<mark.lowerBound].lowercased())
    }

    private static func resolved(_ reference: Substring, against target: String) -> String {
        if reference.hasPrefix("/") { return String(reference) }
        let path = target.prefix { $0 != "?" }
        if reference.isEmpty { return target }
        if reference.hasPrefix("?") { return String(path + reference) }
        let directory = path.lastIndex(of: "/").map { path[...$0] } ?? "/"
        return String(directory + reference)
    }
}
