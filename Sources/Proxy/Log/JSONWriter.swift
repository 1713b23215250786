/// Writes one JSON document, its members in the order given; for what is asked for rarely.
package struct JSONWriter {
    package private(set) var bytes: [UInt8] = []
    private var needsComma = false

    package init() {}

    package mutating func object(_ body: (inout JSONWriter) -> Void) { nest("{", "}", body) }
    package mutating func array(_ body: (inout JSONWriter) -> Void) { nest("[", "]", body) }

    package mutating func object(_ key: String, _ body: (inout JSONWriter) -> Void) {
        name(key)
        object(body)
    }

    package mutating func array(_ key: String, _ body: (inout JSONWriter) -> Void) {
        name(key)
        array(body)
    }

    package mutating func field(_ key: String, _ text: String?) {
        name(key)
        if let text { JSONText.append(text, to: &bytes) } else { JSONText.appendRaw("null", to: &bytes) }
        needsComma = true
    }

    package mutating func field(_ key: String, _ number: Int64) {
        name(key)
        JSONText.append(number, to: &bytes)
        needsComma = true
    }

    package mutating func field(_ key: String, _ flag: Bool) {
        name(key)
        JSONText.appendRaw(flag ? "true" : "false", to: &bytes)
        needsComma = true
    }

    package mutating func field(_ key: String, _ list: [String]) {
        array(key) { json in
            for text in list { json.item(text) }
        }
    }

    package mutating func item(_ text: String) {
        separate()
        JSONText.append(text, to: &bytes)
        needsComma = true
    }

    private mutating func name(_ key: String) {
        separate()
        JSONText.append(key, to: &bytes)
        bytes.append(UInt8(ascii: ":"))
        needsComma = false
    }

    private mutating func nest(_ open: Unicode.Scalar, _ close: Unicode.Scalar, _ body: (inout JSONWriter) -> Void) {
        separate()
        bytes.append(UInt8(ascii: open))
        needsComma = false
        body(&self)
        bytes.append(UInt8(ascii: close))
        needsComma = true
    }

    private mutating func separate() {
        if needsComma { bytes.append(UInt8(ascii: ",")) }
        needsComma = false
    }
}
