import Manifest
import Testing

@testable import YAML

@Suite struct YAMLEmitterTests {
    private func read(_ text: String) throws -> ManifestValue? { try YAMLReader.read(Array(text.utf8)[...])?.value }

    @Test func blockStyle() {
        let value: ManifestValue = [
            "a": [["name": "x", "l": [1, [2, 3], [:]]], "s"], "e": [], "t": "line\nnext\n", "none": .null,
            "v": ["k": "yes"],
        ]
        #expect(
            YAMLEmitter.document(value) == """
                a:
                - name: x
                  l:
                  - 1
                  - - 2
                    - 3
                  - {}
                - s
                e: []
                t: |
                  line
                  next
                none: null
                v:
                  k: "yes"

                """)
    }

    static let strings = [
        "", " ", "a", "yes", "y", "NO", "null", "~", "1", "1.5", "0x1f", "1e3", "012", "12:30", "2001-01-01", "-", "--",
        "---",
        "-a", "--flag=x", "-1", ".5", "..", "...", "=", "<<", "a: b", "a:", ":a", "a #b", "#a", "a#b", "*a", "&a", "!a",
        "%a",
        "@a", "`a", "|", ">", "?", "? a", "[a", "{a", "a]", "a,b", "'", "\"", "\\", "it's", "\"q\" 'q'", " a", "a ",
        "\ta",
        "a\tb", "a\n", "a\nb", "\na", "a\n\n", "a\n\n\nb\n", " a\nb", "a \nb", "\n", "\n\n", "a\r\nb", "a\rb", "\u{1}",
        "\u{7f}", "\u{85}", "\u{2028}x", "\u{feff}", "é", "😀", "e\u{301}", "'\u{301}", "a\n# b", "a\n---\nb", "a\n\tb",
        "/a",
        "true", "Off", "nan", ".nan", ".inf", "+1", "0b1", "a\u{0}b", "key: |", "https://a/b?c=d&e#f",
    ]

    @Test(arguments: strings)
    func everyStringComesBack(_ string: String) throws {
        let value = ManifestValue.string(string)
        #expect(try read(YAMLEmitter.document(value)) == value)
        #expect(try read(YAMLEmitter.document(["k": value, "z": 1])) == ["k": value, "z": 1])
        #expect(try read(YAMLEmitter.document([value, ["k": [value]]])) == [value, ["k": [value]]])
        #expect(try read(YAMLEmitter.document(.object(ManifestObject([(string, 1)])))) == .object([string: 1]))
        #expect(try JSONReader.read(Array(value.json.utf8)) == value)
    }

    @Test func textStaysReadable() {
        for (string, text) in [
            ("nginx:1.29", "nginx:1.29"), ("--port=80", "--port=80"), ("a, b", "a, b"), ("{\"a\":1}", #"'{"a":1}'"#),
            ("80", #""80""#), ("it's", "it's"), ("'a'", #""'a'""#),
        ] {
            #expect(YAMLEmitter.scalar(string) == text)
        }
    }
}
