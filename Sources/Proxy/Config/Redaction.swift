/// Takes out of a value what may be a secret, before a sentence or a page repeats it: of a URL the user and the query.
///
/// It knows no schemes and asks for no valid URL: what was mistyped is what gets repeated.
enum Redaction {
    static let placeholder = "[redacted]"

    static func text(_ value: String) -> String {
        let start = value.firstRange(of: "://")?.upperBound ?? value.startIndex
        let rest = value[start...]
        let mark = rest.firstIndex { $0 == "?" || $0 == "#" } ?? rest.endIndex
        var place = rest[..<mark]
        let query = rest[mark...]
        let tail = query.count > 1 ? "\(query.prefix(1))\(placeholder)" : String(query)
        if let at = place.lastIndex(of: "@") {
            // A password may hold anything: a slash, another @.
            place = place[place.index(after: at)...]
            return "\(value[..<start])\(placeholder)@\(place)\(tail)"
        }
        // The mark may belong to a password as well.
        if !place.contains("/"), rest[mark...].contains("@") { return "\(value[..<start])\(placeholder)" }
        return "\(value[..<start])\(place)\(tail)"
    }
}
