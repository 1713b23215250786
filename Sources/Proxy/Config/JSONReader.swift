/// Reads a JSON document strictly (RFC 8259): nothing before or after it, no name twice in an object, bounded depth.
///
/// A name that comes twice is read differently by different readers, so it is an error here.
struct JSONReader {
    /// Arrays and objects within each other.
    static let maximumDepth = 32

    private let bytes: [UInt8]
    private var offset = 0
    private var depth = 0

    private init(_ bytes: [UInt8]) { self.bytes = bytes }

    static func read(_ bytes: [UInt8]) throws(JSONError) -> JSONValue {
        var reader = JSONReader(bytes)
        let value = try reader.value()
        reader.skipSpace()
        guard reader.offset == bytes.count else { throw reader.error("something follows the document") }
        return value
    }

    // MARK: values

    private mutating func value() throws(JSONError) -> JSONValue {
        skipSpace()
        guard let byte = next else { throw error("the document ends where a value should be") }
        switch byte {
        case UInt8(ascii: "{"): return .object(try members())
        case UInt8(ascii: "["): return .array(try items())
        case UInt8(ascii: "\""): return .string(try string())
        case UInt8(ascii: "t"): return try word("true", .bool(true))
        case UInt8(ascii: "f"): return try word("false", .bool(false))
        case UInt8(ascii: "n"): return try word("null", .null)
        case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"): return .number(try number())
        case _: throw error("no value begins like this")
        }
    }

    private mutating func members() throws(JSONError) -> [JSONValue.Member] {
        try enter()
        var members: [JSONValue.Member] = []
        var names: Set<String> = []
        skipSpace()
        if take(UInt8(ascii: "}")) { return leave(members) }
        while true {
            skipSpace()
            guard next == UInt8(ascii: "\"") else { throw error("a name in double quotes should be here") }
            let start = offset
            let name = try string()
            guard names.insert(name).inserted else {
                throw JSONError(reason: "the name \"\(name)\" comes twice", position: start + 1)
            }
            skipSpace()
            guard take(UInt8(ascii: ":")) else { throw error("a colon should be here") }
            members.append(JSONValue.Member(name: name, value: try value()))
            skipSpace()
            if take(UInt8(ascii: "}")) { return leave(members) }
            guard take(UInt8(ascii: ",")) else { throw error("a comma or } should be here") }
        }
    }

    private mutating func items() throws(JSONError) -> [JSONValue] {
        try enter()
        var items: [JSONValue] = []
        skipSpace()
        if take(UInt8(ascii: "]")) { return leave(items) }
        while true {
            items.append(try value())
            skipSpace()
            if take(UInt8(ascii: "]")) { return leave(items) }
            guard take(UInt8(ascii: ",")) else { throw error("a comma or ] should be here") }
        }
    }

    private mutating func word(_ text: String, _ value: JSONValue) throws(JSONError) -> JSONValue {
        guard bytes[offset...].starts(with: text.utf8) else { throw error("no value begins like this") }
        offset += text.utf8.count
        return value
    }

    private mutating func number() throws(JSONError) -> String {
        let start = offset
        _ = take(UInt8(ascii: "-"))
        let first = next
        let whole = try digits()
        guard whole == 1 || first != UInt8(ascii: "0") else { throw error("a number does not begin with 0") }
        if take(UInt8(ascii: ".")) { _ = try digits() }
        if take(UInt8(ascii: "e")) || take(UInt8(ascii: "E")) {
            if !take(UInt8(ascii: "+")) { _ = take(UInt8(ascii: "-")) }
            _ = try digits()
        }
        return String(decoding: bytes[start..<offset], as: UTF8.self)
    }

    private mutating func digits() throws(JSONError) -> Int {
        let start = offset
        while let byte = next, byte &- 0x30 < 10 { offset += 1 }
        guard offset > start else { throw error("a digit should be here") }
        return offset - start
    }

    // MARK: strings

    private mutating func string() throws(JSONError) -> String {
        offset += 1
        let start = offset
        var text: [UInt8] = []
        while let byte = next {
            switch byte {
            case UInt8(ascii: "\""):
                offset += 1
                guard let string = String(validating: text, as: UTF8.self) else {
                    throw JSONError(reason: "the text is not UTF-8", position: start)
                }
                return string
            case UInt8(ascii: "\\"): try escape(into: &text)
            case 0..<0x20: throw error("a control character stands in a text")
            case _:
                text.append(byte)
                offset += 1
            }
        }
        throw error("a text is not closed")
    }

    private mutating func escape(into text: inout [UInt8]) throws(JSONError) {
        offset += 1
        guard let byte = next else { throw error("a text is not closed") }
        let plain: UInt8? =
            switch byte {
            case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): byte
            case UInt8(ascii: "b"): 8
            case UInt8(ascii: "f"): 12
            case UInt8(ascii: "n"): 10
            case UInt8(ascii: "r"): 13
            case UInt8(ascii: "t"): 9
            case _: nil
            }
        if let plain {
            text.append(plain)
            offset += 1
        } else if byte == UInt8(ascii: "u") {
            text.append(contentsOf: String(try scalar()).utf8)
        } else {
            throw error("no such escape")
        }
    }

    /// `uXXXX`, or two of them for what lies beyond 16 bits.
    private mutating func scalar() throws(JSONError) -> Unicode.Scalar {
        let first = try unit()
        if let scalar = Unicode.Scalar(first) { return scalar }
        guard UTF16.isLeadSurrogate(UInt16(first)), take(UInt8(ascii: "\\")), next == UInt8(ascii: "u") else {
            throw error("half a surrogate pair")
        }
        let second = try unit()
        guard UTF16.isTrailSurrogate(UInt16(second)),
            let scalar = Unicode.Scalar(0x10000 + (first - 0xd800) << 10 + (second - 0xdc00))
        else { throw error("half a surrogate pair") }
        return scalar
    }

    private mutating func unit() throws(JSONError) -> UInt32 {
        offset += 1
        var value: UInt32 = 0
        for _ in 0..<4 {
            guard let byte = next, let digit = Character(Unicode.Scalar(byte)).hexDigitValue else {
                throw error("four hexadecimal digits should be here")
            }
            value = value << 4 | UInt32(digit)
            offset += 1
        }
        return value
    }

    // MARK: bytes

    private var next: UInt8? { offset < bytes.count ? bytes[offset] : nil }

    private mutating func take(_ byte: UInt8) -> Bool {
        guard next == byte else { return false }
        offset += 1
        return true
    }

    private mutating func skipSpace() {
        while let byte = next, [0x20, 0x09, 0x0a, 0x0d].contains(byte) { offset += 1 }
    }

    private mutating func enter() throws(JSONError) {
        guard depth < JSONReader.maximumDepth else { throw error("more than \(JSONReader.maximumDepth) levels") }
        depth += 1
        offset += 1
    }

    private mutating func leave<Value>(_ value: Value) -> Value {
        depth -= 1
        return value
    }

    private func error(_ reason: String) -> JSONError { JSONError(reason: reason, position: offset + 1) }
}
