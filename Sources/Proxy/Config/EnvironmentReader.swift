import Addressing

/// Reads typed values out of the environment and collects what is wrong with them: all of it, not one per start.
struct EnvironmentReader {
    private let environment: [String: String]
    private(set) var problems: [String] = []

    init(_ environment: [String: String]) { self.environment = environment }

    mutating func complain(_ sentence: String) { problems.append(sentence) }

    /// Complains of a value, without repeating what may be a secret in it.
    mutating func refuse(_ name: String, _ value: String, _ why: String) {
        complain("\(named(name, value)) is not valid: \(why)")
    }

    private func named(_ name: String, _ value: String) -> String { "\(name)=\(Redaction.text(value))" }

    /// The variable's text, or its alias's. Both may be set only to the same.
    mutating func text(_ name: String, alias: String? = nil) -> String? {
        guard let alias, let other = environment[alias] else { return environment[name] }
        guard let value = environment[name] else { return other }
        if value != other {
            complain(
                "\(named(name, value)) and its alias \(named(alias, other)) contradict each other: set one of them")
        }
        return value
    }

    mutating func value<Value>(
        _ name: String, alias: String? = nil, default fallback: Value, _ expected: String, _ read: (String) -> Value?
    ) -> Value {
        guard let text = text(name, alias: alias) else { return fallback }
        guard let value = read(text) else {
            refuse(name, text, "it must be \(expected)")
            return fallback
        }
        return value
    }

    mutating func bool(_ name: String, default fallback: Bool) -> Bool {
        value(name, default: fallback, "true or false") { EnvironmentReader.bool($0) }
    }

    static func bool(_ text: String) -> Bool? {
        switch text {
        case "true": true
        case "false": false
        case _: nil
        }
    }

    mutating func port(_ name: String, default fallback: UInt16) -> UInt16 {
        value(name, default: fallback, "a port from 1 to 65535") { PortSet.port($0) }
    }

    /// A port that an empty value disables.
    mutating func optionalPort(_ name: String, alias: String? = nil, default fallback: UInt16?) -> UInt16? {
        value(name, alias: alias, default: fallback, "a port from 1 to 65535, or empty to disable it") {
            $0.isEmpty ? .some(nil) : PortSet.port($0).map(Optional.some)
        }
    }

    mutating func integer(_ name: String, default fallback: Int, in range: ClosedRange<Int>) -> Int {
        value(name, default: fallback, "a whole number from \(range.lowerBound) to \(range.upperBound)") { text in
            guard text.utf8.allSatisfy({ (48...57).contains($0) }), let number = Int(text) else { return nil }
            return range.contains(number) ? number : nil
        }
    }

    mutating func choice<Value: RawRepresentable & CaseIterable>(_ name: String, default fallback: Value) -> Value
    where Value.RawValue == String {
        let names = Value.allCases.map(\.rawValue).joined(separator: ", ")
        return value(name, default: fallback, "one of \(names)") { Value(rawValue: $0) }
    }

    mutating func ports(_ name: String, default fallback: PortSet) -> PortSet {
        guard let text = text(name) else { return fallback }
        do throws(PortSet.Malformed) {
            return try PortSet(parsing: text)
        } catch {
            refuse(name, text, "\"\(error.part)\" is no port; write ports and ranges like 80,8000-8100, or *")
            return fallback
        }
    }

    /// A list of blocks; nil for `*`.
    mutating func blocks(_ name: String, default fallback: [CIDR]?) -> [CIDR]? {
        guard let text = text(name) else { return fallback }
        if text == "*" { return nil }
        var blocks: [CIDR] = []
        for part in elements(text) {
            guard let block = CIDR(part) else {
                refuse(name, text, "\"\(part)\" is no address block; write blocks like 10.0.0.0/8,fd00::/8")
                continue
            }
            blocks.append(block)
        }
        return blocks
    }

    func elements(_ text: String) -> [String] {
        text.isEmpty
            ? [] : text.split(separator: ",", omittingEmptySubsequences: false).map { String($0.trimmingSpaces) }
    }

    mutating func mark(_ name: String, default fallback: Configuration.Mark) -> Configuration.Mark {
        value(name, default: fallback, "VALUE/MASK like 0x5c0/0xfff, the value inside the mask and neither 0") { text in
            let parts = text.split(separator: "/", omittingEmptySubsequences: false).map { EnvironmentReader.word($0) }
            guard parts.count == 2, let value = parts[0], let mask = parts[1] else { return nil }
            guard value != 0, value & ~mask == 0 else { return nil }
            return Configuration.Mark(value: value, mask: mask)
        }
    }

    private static func word(_ text: Substring) -> UInt32? {
        if text.hasPrefix("0x") || text.hasPrefix("0X") {
            guard !text.dropFirst(2).hasPrefix("+"), !text.dropFirst(2).hasPrefix("-") else { return nil }
            return UInt32(text.dropFirst(2), radix: 16)
        }
        return text.utf8.allSatisfy { (48...57).contains($0) } ? UInt32(text) : nil
    }

    /// Refuses a variable whose feature is not there yet, unless it asks for nothing.
    mutating func unsupported(_ name: String, harmless: [String] = [""]) {
        guard let text = environment[name], !harmless.contains(text) else { return }
        complain("\(named(name, text)) is not supported yet: unset it")
    }
}
