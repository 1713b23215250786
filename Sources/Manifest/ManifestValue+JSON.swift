extension ManifestValue {
    /// Compact JSON (RFC 8259), members in their order.
    package var json: String {
        var text = ""
        writeJSON(into: &text, indent: nil)
        return text
    }

    /// JSON over several lines, each level indented by so many spaces more.
    package func json(indentedBy width: Int) -> String {
        var text = ""
        writeJSON(into: &text, indent: (width, 0))
        return text
    }

    private func writeJSON(into text: inout String, indent: (width: Int, level: Int)?) {
        switch self {
        case .null: text += "null"
        case .bool(let flag): text += flag ? "true" : "false"
        case .number(let number): text += number
        case .string(let string): ManifestValue.quote(string, into: &text)
        case .array(let items):
            ManifestValue.enclose("[", items, "]", into: &text, indent) { item, text, indent in
                item.writeJSON(into: &text, indent: indent)
            }
        case .object(let object):
            ManifestValue.enclose("{", object.members, "}", into: &text, indent) { member, text, indent in
                ManifestValue.quote(member.key, into: &text)
                text += indent == nil ? ":" : ": "
                member.value.writeJSON(into: &text, indent: indent)
            }
        }
    }

    private static func enclose<Item>(
        _ open: String, _ items: [Item], _ close: String, into text: inout String, _ indent: (width: Int, level: Int)?,
        _ write: (Item, inout String, (width: Int, level: Int)?) -> Void
    ) {
        text += open
        let inner = indent.map { ($0.width, $0.level + 1) }
        for (position, item) in items.enumerated() {
            if position > 0 { text += "," }
            newLine(inner, into: &text)
            write(item, &text, inner)
        }
        if !items.isEmpty { newLine(indent, into: &text) }
        text += close
    }

    private static func newLine(_ indent: (width: Int, level: Int)?, into text: inout String) {
        guard let indent else { return }
        text += "\n" + String(repeating: " ", count: indent.width * indent.level)
    }

    /// A string in double quotes: valid as JSON and as YAML.
    package static func quote(_ string: String, into text: inout String) {
        text += "\""
        for scalar in string.unicodeScalars {
            switch scalar {
            case "\"": text += "\\\""
            case "\\": text += "\\\\"
            case "\n": text += "\\n"
            case "\r": text += "\\r"
            case "\t": text += "\\t"
            case "\u{0}"..."\u{1f}", "\u{7f}"..."\u{9f}", "\u{2028}", "\u{2029}", "\u{feff}", "\u{fffe}", "\u{ffff}":
                let digits = String(scalar.value, radix: 16)
                text += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
            case _: text.unicodeScalars.append(scalar)
            }
        }
        text += "\""
    }
}
