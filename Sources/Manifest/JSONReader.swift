/// Why bytes are no JSON, and where: the first byte is 1.
package struct JSONError: Error, Equatable {
    package let reason: String
    package let position: Int

    package var sentence: String { "at byte \(position): \(reason)" }
}

/// Reads one JSON document (RFC 8259). A name that comes twice in an object is an error: readers differ in which they take.
package struct JSONReader {
    /// Arrays and objects within each other.
    package static let maximumDepth = 100
    /// More of a name is not repeated in a message.
    package static let maximumNameBytes = 256

    private let bytes: [UInt8]
    private var offset = 0
    private var depth = 0

    package static func read(_ bytes: [UInt8]) throws(JSONError) -> ManifestValue {
        var reader = JSONReader(bytes: bytes)
        let value = try reader.value()
        reader.skipSpace()
        guard reader.offset == bytes.count else { throw reader.error("something follows the document") }
        return value
    }

    private init(bytes: [UInt8]) {
        self.bytes = bytes
    }

    // MARK: values

    private mutating func value() throws(JSONError) -> ManifestValue {
        skipSpace()
        switch next {
        case UInt8(ascii: "{"): return .object(try object())
        case UInt8(ascii: "["): return .array(try array())
        case UInt8(ascii: "\""): return .string(try string())
        case UInt8(ascii: "t"): return try word("true", .bool(true))
        case UInt8(ascii: "f"): return try word("false", .bool(false))
        case UInt8(ascii: "n"): return try word("null", .null)
        case _: return .number(try number())
        }
    }

    private mutating func object() throws(JSONError) -> ManifestObject {
        var members: [ManifestObject.Member] = []
        var names: Set<String> = []
        try list(until: "}") { reader throws(JSONError) in
            guard reader.next == UInt8(ascii: "\"") else { throw reader.error("a name in double quotes is missing") }
            let name = try reader.string()
            guard names.insert(name).inserted else {
                let start = name.cut(toBytes: JSONReader.maximumNameBytes)
                throw reader.error("the name \"\(start)\" is there twice")
            }
            reader.skipSpace()
            guard reader.take(":") else { throw reader.error("a colon is missing") }
            members.append(.init(key: name, value: try reader.value()))
        }
        return ManifestObject(unique: members)
    }

    private mutating func array() throws(JSONError) -> [ManifestValue] {
        var items: [ManifestValue] = []
        try list(until: "]") { reader throws(JSONError) in items.append(try reader.value()) }
        return items
    }

    /// What stands between brackets, separated by commas.
    private mutating func list(
        until end: Unicode.Scalar, _ element: (inout JSONReader) throws(JSONError) -> Void
    ) throws(JSONError) {
        guard depth < JSONReader.maximumDepth else {
            throw error("it is nested more than \(JSONReader.maximumDepth) deep")
        }
        depth += 1
        offset += 1
        skipSpace()
        if !take(end) {
            repeat {
                skipSpace()
                try element(&self)
                skipSpace()
            } while take(",")
            guard take(end) else { throw error("a comma or \(end) is missing") }
        }
        depth -= 1
    }

    private mutating func word(_ text: StaticString, _ value: ManifestValue) throws(JSONError) -> ManifestValue {
        let word = "\(text)".utf8
        guard bytes[offset...].starts(with: word) else { throw error("no value begins like this") }
        offset += word.count
        return value
    }

    private mutating func number() throws(JSONError) -> String {
        let start = offset
        _ = take("-")
        if !take("0") { try digits() }
        if take(".") { try digits() }
        if take("e") || take("E") {
            if !take("+") { _ = take("-") }
            try digits()
        }
        return String(decoding: bytes[start..<offset], as: UTF8.self)
    }

    private mutating func digits() throws(JSONError) {
        let start = offset
        while let byte = next, (48...57).contains(byte) { offset += 1 }
        guard offset > start else { throw error(start == bytes.count ? "it ends too early" : "a value is missing") }
    }

    // MARK: strings

    private mutating func string() throws(JSONError) -> String {
        offset += 1
        var text: [UInt8] = []
        while let byte = next {
            offset += 1
            switch byte {
            case UInt8(ascii: "\""):
                guard let string = String(validating: text, as: UTF8.self) else { throw error("it is not UTF-8") }
                return string
            case UInt8(ascii: "\\"): text.append(contentsOf: String(try escape()).utf8)
            case 0..<0x20: throw error("a control character stands in a string")
            case _: text.append(byte)
            }
        }
        throw error("a string has no end")
    }

    private mutating func escape() throws(JSONError) -> Unicode.Scalar {
        guard let byte = next else { throw error("a string has no end") }
        offset += 1
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): return Unicode.Scalar(byte)
        case UInt8(ascii: "b"): return "\u{8}"
        case UInt8(ascii: "f"): return "\u{c}"
        case UInt8(ascii: "n"): return "\n"
        case UInt8(ascii: "r"): return "\r"
        case UInt8(ascii: "t"): return "\t"
        case UInt8(ascii: "u"): return try unicodeEscape()
        case _: throw error("there is no such escape")
        }
    }

    /// Four digits, or a surrogate pair of two escapes.
    private mutating func unicodeEscape() throws(JSONError) -> Unicode.Scalar {
        let first = try codeUnit()
        if let scalar = Unicode.Scalar(first) { return scalar }
        guard first < 0xdc00, take("\\"), take("u") else { throw error("half of a surrogate pair is missing") }
        let second = try codeUnit()
        guard (0xdc00..<0xe000).contains(second),
            let scalar = Unicode.Scalar(0x10000 + (first - 0xd800) << 10 + (second - 0xdc00))
        else { throw error("half of a surrogate pair is missing") }
        return scalar
    }

    private mutating func codeUnit() throws(JSONError) -> UInt32 {
        var unit: UInt32 = 0
        for _ in 0..<4 {
            guard let byte = next, let digit = Character(Unicode.Scalar(byte)).hexDigitValue else {
                throw error("four hexadecimal digits are missing")
            }
            offset += 1
            unit = unit << 4 | UInt32(digit)
        }
        return unit
    }

    // MARK: bytes

    private var next: UInt8? { offset < bytes.count ? bytes[offset] : nil }

    private mutating func take(_ scalar: Unicode.Scalar) -> Bool {
        guard let byte = next, UInt32(byte) == scalar.value else { return false }
        offset += 1
        return true
    }

    private mutating func skipSpace() {
        while let byte = next, byte == 0x20 || byte == 0x0a || byte == 0x0d || byte == 0x09 { offset += 1 }
    }

    private func error(_ reason: String) -> JSONError { JSONError(reason: reason, position: offset + 1) }
}
