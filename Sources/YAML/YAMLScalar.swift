import Manifest

/// What a scalar is, as the YAML reader of Kubernetes' tools decides it: YAML 1.1 in its words for true and false, numbers
/// as Go writes them.
package enum YAMLScalar {
    struct Malformed: Error { let reason: String }

    private static let longPrefix = "tag:yaml.org,2002:"

    static func value(_ text: String, isPlain: Bool, tag: String?) throws(Malformed) -> ManifestValue {
        guard let tag, tag.hasPrefix(longPrefix) else {
            // A tag of the application's own means text.
            return tag == nil && isPlain ? try resolved(text) : .string(text)
        }
        let name = String(tag.dropFirst(longPrefix.count))
        switch name {
        case "str", "timestamp": return .string(text)
        case "binary":
            throw Malformed(reason: "Kubernetes does not know !!binary; write the base64 text without the tag")
        case "int", "float", "bool", "null":
            let value = try resolved(text)
            guard matches(name, value) else { throw Malformed(reason: "\(text) is tagged !!\(name) but is none") }
            return value
        case _: return .string(text)
        }
    }

    private static func matches(_ tag: String, _ value: ManifestValue) -> Bool {
        switch value {
        case .null: tag == "null"
        case .bool: tag == "bool"
        case .number(let text): tag == "float" || (tag == "int" && Int(text) != nil)
        case .string, .array, .object: false
        }
    }

    /// The value of a scalar without quotes and tag.
    private static func resolved(_ text: String) throws(Malformed) -> ManifestValue {
        if let word = word(text) { return word }
        switch text {
        case ".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF", "-.inf", "-.Inf", "-.INF", ".nan", ".NaN", ".NAN":
            throw Malformed(reason: "\(text) cannot be given to Kubernetes, whose JSON has no such number; quote it")
        case _:
            return YAMLNumber.json(text).map { .number($0) } ?? .string(text)
        }
    }

    private static func word(_ text: String) -> ManifestValue? {
        switch text {
        case "", "~", "null", "Null", "NULL": .null
        case "y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON": .bool(true)
        case "n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF": .bool(false)
        case _: nil
        }
    }

    /// Whether every reader, of YAML 1.1 or 1.2, takes this text without quotes for text.
    package static func isSurelyText(_ text: String) -> Bool {
        guard let first = text.utf8.first, word(text) == nil, text != "<<", text != "=" else { return false }
        // Numbers of every kind, dates, sexagesimal numbers: not worth telling apart.
        return !(UInt8(ascii: "0")...UInt8(ascii: "9")).contains(first) && !"+-.".utf8.contains(first)
    }
}
