/// A JSON document that was read (RFC 8259). Numbers keep their text, objects the order of their members.
indirect enum JSONValue: Equatable {
    struct Member: Equatable {
        let name: String
        let value: JSONValue
    }

    case null
    case bool(Bool)
    case number(String)
    case string(String)
    case array([JSONValue])
    case object([Member])

    /// A whole number, written without fraction and exponent.
    var integer: Int? {
        guard case .number(let text) = self else { return nil }
        return Int(text)
    }

    /// What it is, for a sentence about what it should be.
    var kind: String {
        switch self {
        case .null: "null"
        case .bool(let value): "\(value)"
        case .number(let text): text
        case .string(let text): "the text \"\(text.prefix(JSONValue.quotedCharacters))\""
        case .array: "an array"
        case .object: "an object"
        }
    }

    /// More of a text is not repeated in a message.
    private static let quotedCharacters = 80
}

/// Why bytes are no JSON, and where.
struct JSONError: Error, Equatable {
    let reason: String
    /// The first byte is 1.
    let position: Int

    var sentence: String { "at byte \(position): \(reason)" }
}
