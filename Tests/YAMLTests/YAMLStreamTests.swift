import Testing

@testable import YAML

@Suite struct YAMLStreamTests {
    private func divide(_ text: String) -> [String] {
        let bytes = Array(text.utf8)
        return YAMLStream.documents(in: bytes).map { String(decoding: bytes[$0.bytes], as: UTF8.self) }
    }

    @Test(arguments: [
        ("", []), ("a", ["a"]), ("a\n", ["a\n"]), ("a\n---\nb\n", ["a\n", "---\nb\n"]), ("---\na\n", ["---\na\n"]),
        ("# c\n---\na\n", ["# c\n", "---\na\n"]), ("a\n--- # c\nb", ["a\n", "--- # c\nb"]), ("a\n---", ["a\n", "---"]),
        ("a: |\n  ---\n  x\n", ["a: |\n  ---\n  x\n"]), ("a\n---b\n", ["a\n---b\n"]),
        ("a\r\n---\r\nb\r\n", ["a\r\n", "---\r\nb\r\n"]), ("a\n...\nb\n", ["a\n...\n", "b\n"]),
        ("%YAML 1.1\n---\na\n", ["%YAML 1.1\n---\na\n"]),
        ("a\n...\n%YAML 1.1\n# c\n---\nb", ["a\n...\n", "%YAML 1.1\n# c\n---\nb"]),
        ("a: b\n%c\n---\nd", ["a: b\n%c\n", "---\nd"]),
        ("{\"a\": \"}{\"}\n{\"b\": 1}\n", ["{\"a\": \"}{\"}\n", "{\"b\": 1}\n"]),
        ("{\"a\": \"\\\"{\"}{}", ["{\"a\": \"\\\"{\"}", "{}"]), ("{a: 1\n}\n", ["{a: 1\n}\n"]), ("{{{", ["{{{"]),
        ("\u{feff}---\na\n---\nb", ["\u{feff}---\na\n", "---\nb"]),
    ])
    func documents(_ text: String, _ expected: [String]) {
        #expect(divide(text) == expected)
    }

    @Test func linesAreCounted() {
        let bytes = Array("a\n\n---\nb\n{}\n".utf8)
        #expect(YAMLStream.documents(in: bytes).map(\.precedingLines) == [0, 2])
        #expect(YAMLStream.documents(in: Array("{\n}\n\n{}".utf8)).map(\.precedingLines) == [0, 3])
    }
}
