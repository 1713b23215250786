import Testing

@testable import Proxy

@Suite struct HeaderBlockTests {
    private func fields(of block: HeaderBlock) -> [String] {
        let bytes = block.text.bytes
        return block.fields.map { field in
            let name = String(decoding: bytes[field.name.range], as: UTF8.self)
            let value = String(decoding: bytes[field.value.range], as: UTF8.self)
            return "\(name)|\(value)"
        }
    }

    @Test func namesAndValuesOfEveryKindAreFoundAgain() throws {
        let block = HeaderBlock()
        let (value, prefix) = (Array("value".utf8), Array("/base".utf8))
        block.append(":path", prefix, value.span)
        block.append("span", value.span)
        block.append("static", "text")
        block.append("number", number: 1_234)
        block.append("empty", "")
        #expect(fields(of: block) == [":path|/basevalue", "span|value", "static|text", "number|1234", "empty|"])
    }

    @Test func aParsedLineIsTakenOverWithoutItsBlanks() throws {
        let bytes = Array("X-One: \t 1 \r\ntwo:2\r\nthree:\r\n\r\n".utf8)
        var section = FieldSection()
        let outcome = section.parse(bytes.span, from: 0, maxFields: 10)
        guard case .complete = outcome else {
            Issue.record("\(outcome)")
            return
        }
        let block = HeaderBlock()
        for line in section.lines { block.append(line, from: bytes.span) }
        #expect(fields(of: block) == ["X-One|1", "two|2", "three|"])
    }

    @Test(
        arguments: [
            ("", []), ("a: 1\r\n", ["a|1"]), ("a: 1\r\nb: 2\r\n", ["a|1", "b|2"]), ("a: \r\nb: 2\r\n", ["a|", "b|2"]),
            ("a: x:y: z\r\n", ["a|x:y: z"]),
            // What is no whole line is nothing.
            ("a: 1\r\nb: 2", ["a|1"]), ("a: 1\r\nb: 2\r", ["a|1"]), ("a", []),
        ] as [(String, [String])])
    func renderedLinesBecomeFields(_ lines: String, _ expected: [String]) {
        let block = HeaderBlock()
        block.append("before", "0")
        block.append(lines: Array(lines.utf8))
        #expect(fields(of: block) == ["before|0"] + expected)
    }

    @Test func aBlockIsUsedAgain() {
        let block = HeaderBlock()
        block.append("first", "1")
        block.removeAll()
        #expect(block.fields.isEmpty && block.text.count == 0)
        block.append("second", "2")
        #expect(fields(of: block) == ["second|2"])
    }
}
