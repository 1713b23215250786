import Testing

@testable import Proxy

@Suite struct JSONReaderTests {
    private func read(_ text: String) throws(JSONError) -> JSONValue { try JSONReader.read(Array(text.utf8)) }

    private func failure(_ bytes: [UInt8]) -> JSONError? {
        do throws(JSONError) {
            _ = try JSONReader.read(bytes)
            return nil
        } catch {
            return error
        }
    }

    @Test func everyKindOfValue() throws {
        let value = try read(
            """
             { "a" : [ null , true,false, -0.5e+3, "x" ] ,\t"b":{}, "c":[],
             "": 0 }\r
            """)
        #expect(
            value
                == .object([
                    .init(
                        name: "a", value: .array([.null, .bool(true), .bool(false), .number("-0.5e+3"), .string("x")])),
                    .init(name: "b", value: .object([])), .init(name: "c", value: .array([])),
                    .init(name: "", value: .number("0")),
                ]))
    }

    @Test(arguments: [
        (#""\"\\\/\b\f\n\r\t""#, "\"\\/\u{8}\u{c}\n\r\t"), (#""\u0041\u00e9\u20AC""#, "Aé€"),
        (#""\ud83d\ude00""#, "😀"), (#""\u0000""#, "\0"), ("\"é€😀\"", "é€😀"), ("\"\u{7f}\"", "\u{7f}"),
    ])
    func texts(_ json: String, _ expected: String) throws { #expect(try read(json) == .string(expected)) }

    @Test(arguments: [("0", 0), ("-0", 0), ("7", 7), ("-12", -12), ("9223372036854775807", Int.max)])
    func wholeNumbers(_ json: String, _ expected: Int) throws { #expect(try read(json).integer == expected) }

    @Test(arguments: ["1.0", "1e3", "9223372036854775808", "\"1\"", "true", "null"])
    func whatIsNoWholeNumber(_ json: String) throws { #expect(try read(json).integer == nil) }

    @Test(arguments: [
        ("", 1), (" ", 2), ("{", 2), ("[", 2), ("[1", 3), ("[1,", 4), ("[1,]", 4), ("{\"a\"", 5), ("{\"a\":", 6),
        ("{\"a\":1,}", 8), ("{a:1}", 2), ("{1:2}", 2), ("{\"a\" 1}", 6), ("[1 2]", 4), ("nul", 1), ("True", 1),
        ("01", 3), ("-", 2), ("+1", 1), (".5", 1), ("1.", 3), ("1e", 3), ("1e+", 4), ("1 2", 3), ("[]]", 3), ("'a'", 1),
        ("\"a", 3), ("\"\\", 3), ("\"\\x\"", 3), ("\"\\u12\"", 6), ("\"\\u12g4\"", 6), ("\"\\ud800\"", 8),
        ("\"\\udc00\"", 8), ("\"\\ud800\\u0041\"", 14), ("\"a\nb\"", 3), ("NaN", 1), ("// x\n1", 1), ("\u{feff}1", 1),
        ("{\"a\":1,\"a\":2}", 8), ("{\"a\":1,\"\\u0061\":2}", 8),
    ])
    func whatIsWrongIsToldWithItsPlace(_ json: String, _ position: Int) {
        #expect(failure(Array(json.utf8))?.position == position, "\(failure(Array(json.utf8))?.sentence ?? "read")")
    }

    @Test func aTextMustBeUTF8() {
        #expect(failure([0x22, 0xff, 0x22])?.reason == "the text is not UTF-8")
        #expect(failure([0x22, 0xed, 0xa0, 0x80, 0x22]) != nil, "half a surrogate pair as bytes")
    }

    @Test func depthIsBounded() throws {
        let most = JSONReader.maximumDepth
        _ = try read(String(repeating: "[", count: most) + String(repeating: "]", count: most))
        let deeper = String(repeating: "[", count: most + 1) + String(repeating: "]", count: most + 1)
        #expect(failure(Array(deeper.utf8)) == JSONError(reason: "more than 32 levels", position: most + 1))
        #expect(failure(Array(repeating: UInt8(ascii: "["), count: 1_000_000)) != nil)
        // Levels that have been left do not count.
        _ = try read("[" + Array(repeating: "[]", count: 100).joined(separator: ",") + "]")
    }

    @Test func everyCutOfADocumentIsAnError() throws {
        let document = Array(#"{"a":[1.5,"\u00e9\n",true,null,{"b":-2e1}]}"#.utf8)
        _ = try JSONReader.read(document)
        for length in 0..<document.count { #expect(failure(Array(document[..<length])) != nil, "\(length) bytes") }
    }
}
