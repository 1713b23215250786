/// A JSON document to print, with its keys in the order given.
indirect enum JSONValue: CustomStringConvertible {
    case string(String)
    case bool(Bool)
    case integer(Int64)
    case null
    case array([JSONValue])
    case object([(String, JSONValue)])

    var description: String {
        switch self {
        case .string(let text): JSONValue.quoted(text)
        case .bool(let flag): "\(flag)"
        case .integer(let number): "\(number)"
        case .null: "null"
        case .array(let items): "[" + items.map(\.description).joined(separator: ",") + "]"
        case .object(let members):
            "{" + members.map { "\(JSONValue.quoted($0.0)):\($0.1)" }.joined(separator: ",") + "}"
        }
    }

    private static func quoted(_ text: String) -> String {
        var result = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": result += "\\\""
            case "\\": result += "\\\\"
            case "\n": result += "\\n"
            case _ where scalar.value < 0x20:
                let digits = String(scalar.value, radix: 16)
                result += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
            case _: result.unicodeScalars.append(scalar)
            }
        }
        return result + "\""
    }
}
