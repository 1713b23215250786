import Manifest
import Testing

@Suite struct JSONTests {
    private func read(_ text: String) throws -> ManifestValue { try JSONReader.read(Array(text.utf8)) }

    @Test(arguments: [
        "null", "true", "false", "0", "-0", "1.50", "-1e+5", "12345678901234567890123", "\"\"", "\"é😀\"", "[]", "{}",
        #"[1,[2,{"a":"b"}],null]"#, #"{"b":1,"a":{"c":[]}}"#, #""\"\\\n\t\r""#,
    ])
    func whatIsReadIsWrittenAgain(_ text: String) throws {
        #expect(try read(text).json == text)
    }

    @Test func escapesAreRead() throws {
        #expect(try read(#""\u0041\ud83d\ude00\/\b\f""#) == .string("A😀/\u{8}\u{c}"))
        #expect(try read(" [ 1 ,\t2\r\n] ") == [1, 2])
    }

    @Test(arguments: [
        "", " ", "tru", "nul", "01", "1.", "-", "1e", ".5", "+1", "[1,]", "[1 2]", "[", "{", "{\"a\"}", "{\"a\":}",
        "{a:1}",
        "{\"a\":1,}", "\"", "\"\\", "\"\\x\"", "\"\\u12\"", "\"\\ud800\"", "\"\\ud800\\u0041\"", "\"\\udc00\"",
        "\"\n\"",
        "1 2", "{\"a\":1,\"a\":2}", "nan", "'a'",
    ])
    func whatIsNoJSONIsAnError(_ text: String) {
        #expect(throws: JSONError.self) { try read(text) }
    }

    @Test(arguments: [
        ("", 1), ("[1", 3), ("[1,]", 4), ("{\"a\" 1}", 6), ("{a:1}", 2), ("[1 2]", 4), ("nul", 1), ("01", 2),
        ("1 2", 3),
        ("\"a\nb\"", 4), ("\u{feff}1", 1),
    ])
    func errorsTellThePlace(_ text: String, _ position: Int) {
        #expect { try read(text) } throws: { ($0 as? JSONError)?.position == position }
    }

    @Test(arguments: [("0", 0), ("-0", 0), ("-12", -12), ("9223372036854775807", Int.max)])
    func wholeNumbers(_ text: String, _ expected: Int) throws { #expect(try read(text).integer == expected) }

    @Test(arguments: ["1.0", "1e3", "9223372036854775808", "\"1\"", "true", "null"])
    func whatIsNoWholeNumber(_ text: String) throws { #expect(try read(text).integer == nil) }

    @Test func bytesThatAreNoTextAreAnError() {
        #expect(throws: JSONError.self) { try JSONReader.read([0x22, 0xff, 0x22]) }
    }

    @Test func depthIsBounded() throws {
        let depth = JSONReader.maximumDepth
        let deepest = String(repeating: "[", count: depth) + String(repeating: "]", count: depth)
        #expect(try read(deepest).json == deepest)
        #expect(throws: JSONError.self) { try read("[" + deepest + "]") }
    }

    @Test func everyPrefixIsAnError() throws {
        let text = #"{"a":[1.5e3,true,null,"b\u00e9\n"],"c":{"d":-1}}"#
        #expect(throws: Never.self) { try read(text) }
        for length in 0..<text.utf8.count {
            #expect(throws: JSONError.self) { try JSONReader.read(Array(text.utf8.prefix(length))) }
        }
    }

    @Test func indentedJSON() {
        let value: ManifestValue = ["a": [1, [:]], "b": []]
        #expect(value.json(indentedBy: 2) == "{\n  \"a\": [\n    1,\n    {}\n  ],\n  \"b\": []\n}")
    }
}
