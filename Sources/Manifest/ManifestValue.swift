/// What a Kubernetes object is made of, whether it came as JSON or as YAML.
///
/// A number is kept as the text of a JSON number, so that no digit is lost on the way through.
package indirect enum ManifestValue: Equatable, Sendable {
    case null
    case bool(Bool)
    case number(String)
    case string(String)
    case array([ManifestValue])
    case object(ManifestObject)

    /// The member of an object; nil where this is no object or has no such member.
    package subscript(key: String) -> ManifestValue? {
        if case .object(let object) = self { object[key] } else { nil }
    }

    package var string: String? {
        if case .string(let text) = self { text } else { nil }
    }

    package var bool: Bool? {
        if case .bool(let flag) = self { flag } else { nil }
    }

    /// The value of a number without a fraction.
    package var integer: Int? {
        if case .number(let text) = self { Int(text) } else { nil }
    }

    package var array: [ManifestValue]? {
        if case .array(let items) = self { items } else { nil }
    }

    package var object: ManifestObject? {
        if case .object(let object) = self { object } else { nil }
    }

    package var isNull: Bool { self == .null }

    /// What it is, for a message.
    package var kindName: String {
        switch self {
        case .null: "null"
        case .bool: "a boolean"
        case .number: "a number"
        case .string: "a string"
        case .array: "a list"
        case .object: "a mapping"
        }
    }
}

extension ManifestValue: ExpressibleByStringLiteral, ExpressibleByBooleanLiteral, ExpressibleByIntegerLiteral,
    ExpressibleByArrayLiteral, ExpressibleByDictionaryLiteral
{
    package init(stringLiteral text: String) { self = .string(text) }
    package init(booleanLiteral flag: Bool) { self = .bool(flag) }
    package init(integerLiteral number: Int) { self = .number("\(number)") }
    package init(arrayLiteral items: ManifestValue...) { self = .array(items) }
    package init(dictionaryLiteral members: (String, ManifestValue)...) { self = .object(ManifestObject(members)) }
}
