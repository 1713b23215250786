/// Which way the bytes go.
enum Side: Equatable {
    case requests
    /// The methods of the requests that are answered, in order; the last one goes for all that follow.
    case responses([String])
}

/// One message, in terms that two parsers can agree on.
struct Message: CustomStringConvertible {
    /// The method, or the status.
    var start: String
    var target = ""
    var minorVersion: Int
    var keepsAlive: Bool
    var fields: [Field]
    var body: [UInt8] = []
    var trailers: [Field] = []
    var isComplete = false

    var description: String {
        let lines = (fields + trailers).map { "\($0.name): \($0.value)" }
        return "\(start) \(target) HTTP/1.\(minorVersion) \(lines) body \(literal(body))"
            + (isComplete ? "" : " …") + (keepsAlive ? "" : ", closes")
    }

    func values(_ name: String) -> [String] { fields.filter { $0.name == name }.map(\.value) }
    func names(_ token: String, in name: String) -> Bool {
        values(name).contains { $0.split(separator: ",").contains { trimmed(String($0)).lowercased() == token } }
    }

    /// What follows may be another protocol: a parser may stop here.
    var maySwitch: Bool {
        start == "CONNECT" || start == "101" || !values("upgrade").isEmpty && names("upgrade", in: "connection")
    }
}

/// A field line: the name in lower case, the value without blanks around it. Bytes that are not UTF-8 become U+FFFD.
struct Field: Equatable {
    let name: String
    let value: String

    init(_ name: String, _ value: String) {
        self.name = name.lowercased()
        self.value = trimmed(value)
    }
}

/// What a parser made of the bytes.
struct Reading<Refusal> {
    enum Ending {
        /// It would read on.
        case open
        case refused(Refusal)
        /// The connection ends, or another protocol begins, after the last message.
        case over
    }

    /// The last one may be incomplete.
    var messages: [Message] = []
    var ending = Ending.open

    var refusal: Refusal? { if case .refused(let refusal) = ending { refusal } else { nil } }
    var isOpen: Bool { if case .open = ending { true } else { false } }
}

func trimmed(_ text: String) -> String {
    let blanks: Set<Unicode.Scalar> = [" ", "\t"]
    let tail = text.unicodeScalars.drop { blanks.contains($0) }
    return String(String.UnicodeScalarView(tail.reversed().drop { blanks.contains($0) }.reversed()))
}

/// One byte per scalar, so that any byte can be written down.
func latin1(_ text: String) -> [UInt8] { text.unicodeScalars.map { UInt8($0.value) } }

/// Bytes as one would write them in a literal.
func literal(_ bytes: [UInt8]) -> String {
    bytes.map { byte in
        switch byte {
        case 13: "\\r"
        case 10: "\\n"
        case 0x20..<0x7f: String(UnicodeScalar(byte))
        case _: "\\x" + String(byte >> 4, radix: 16) + String(byte & 15, radix: 16)
        }
    }.joined()
}
