package import Manifest

/// Writes values as YAML in block style, two spaces a level, lists as deep as their key, as kubectl does.
package struct YAMLEmitter {
    package private(set) var text = ""

    package init() {}

    /// A whole document, its last line ended.
    package static func document(_ value: ManifestValue) -> String {
        var emitter = YAMLEmitter()
        switch value {
        case .object(let object) where !object.isEmpty: emitter.entries(object, column: 0)
        case .array(let items) where !items.isEmpty: emitter.items(items, column: 0)
        case _: emitter.text = emitter.inline(value, column: 0) + "\n"
        }
        return emitter.text
    }

    /// One member of a mapping, its first line without indentation.
    package mutating func entry(_ key: String, _ value: ManifestValue, column: Int) {
        text += YAMLEmitter.scalar(key) + ":"
        after(value, column: column)
    }

    /// One item of a list, its first line without indentation.
    package mutating func item(_ value: ManifestValue, column: Int) {
        text += "-"
        switch value {
        case .object(let object) where !object.isEmpty:
            text += " "
            entries(object, column: column + 2, isIndented: true)
        case .array(let items) where !items.isEmpty:
            text += " "
            self.items(items, column: column + 2, isIndented: true)
        case _: text += " " + inline(value, column: column) + "\n"
        }
    }

    private mutating func after(_ value: ManifestValue, column: Int) {
        switch value {
        case .object(let object) where !object.isEmpty:
            text += "\n"
            entries(object, column: column + 2)
        case .array(let items) where !items.isEmpty:
            text += "\n"
            self.items(items, column: column)
        case _: text += " " + inline(value, column: column) + "\n"
        }
    }

    private mutating func entries(_ object: ManifestObject, column: Int, isIndented: Bool = false) {
        for (position, member) in object.members.enumerated() {
            if position > 0 || !isIndented { indent(column) }
            entry(member.key, member.value, column: column)
        }
    }

    private mutating func items(_ items: [ManifestValue], column: Int, isIndented: Bool = false) {
        for (position, value) in items.enumerated() {
            if position > 0 || !isIndented { indent(column) }
            item(value, column: column)
        }
    }

    package mutating func indent(_ column: Int) { text += String(repeating: " ", count: column) }

    /// What stands behind a colon or dash: a scalar, or an empty list or mapping.
    private func inline(_ value: ManifestValue, column: Int) -> String {
        switch value {
        case .null: "null"
        case .bool(let flag): "\(flag)"
        case .number(let number): number
        case .string(let string): YAMLEmitter.literal(string, column: column + 2) ?? YAMLEmitter.scalar(string)
        case .array: "[]"
        case .object: "{}"
        }
    }

    // MARK: strings

    /// Text on one line: plain where nobody can take it for anything else, else in quotes.
    static func scalar(_ string: String) -> String {
        if isPlain(string) { return string }
        let fitsSingleQuotes = string.unicodeScalars.allSatisfy { isPrintable($0) }
        if fitsSingleQuotes, string.unicodeScalars.contains(where: { $0 == "\"" || $0 == "\\" }) {
            var text = ""
            // By scalar: a combining mark may stand behind the quote.
            for scalar in string.unicodeScalars { text += scalar == "'" ? "''" : String(scalar) }
            return "'" + text + "'"
        }
        var text = ""
        ManifestValue.quote(string, into: &text)
        return text
    }

    private static func isPlain(_ string: String) -> Bool {
        guard string.utf8.allSatisfy({ (0x20...0x7e).contains($0) }), let last = string.utf8.last else { return false }
        guard last != UInt8(ascii: " "), last != UInt8(ascii: ":") else { return false }
        guard !string.contains(": "), !string.contains(" #") else { return false }
        let name = string.drop { $0 == "-" }
        guard let first = name.utf8.first, isLetter(first) || first == UInt8(ascii: "/") else { return false }
        // An option of a command is no number; anything else with a hyphen in front is left to the rules for text.
        let hyphens = string.utf8.count - name.utf8.count
        return hyphens > 2 ? false : hyphens > 0 ? isLetter(first) : YAMLScalar.isSurelyText(string)
    }

    private static func isLetter(_ byte: UInt8) -> Bool { (65...90).contains(byte) || (97...122).contains(byte) }

    private static func isPrintable(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.value {
        case 0x20...0x7e: true
        case 0xa0...0xd7ff, 0xe000...0xfffd, 0x10000...0x10ffff:
            scalar != "\u{2028}" && scalar != "\u{2029}" && scalar != "\u{feff}"
        case _: false
        }
    }

    /// Text of several lines as they are; nil where a reader would not see them as they are.
    private static func literal(_ string: String, column: Int) -> String? {
        guard string.contains("\n"), let first = string.unicodeScalars.first, first != " ", first != "\n", first != "\t"
        else { return nil }
        guard string.unicodeScalars.allSatisfy({ $0 == "\n" || $0 == "\t" || isPrintable($0) }) else { return nil }
        let indentation = String(repeating: " ", count: column)
        var lines = string.split(separator: "\n", omittingEmptySubsequences: false)
        var header = "|-"
        if lines.last?.isEmpty == true {
            lines.removeLast()
            header = lines.last?.isEmpty == true ? "|+" : "|"
        }
        return header + lines.map { $0.isEmpty ? "\n" : "\n" + indentation + $0 }.joined()
    }
}
