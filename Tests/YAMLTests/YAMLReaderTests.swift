import Manifest
import Testing
import YAML

@Suite struct YAMLReaderTests {
    private func read(_ text: String) throws -> ManifestValue? {
        try YAMLReader.read(Array(text.utf8)[...])?.value
    }

    private func problem(_ text: String) -> String? {
        do throws(YAMLError) {
            _ = try YAMLReader.read(Array(text.utf8)[...])
            return nil
        } catch {
            return error.sentence
        }
    }

    /// What kubectl makes of them: sigs.k8s.io/yaml over go-yaml v2.
    @Test(arguments: [
        ("yes", "true"), ("y", "true"), ("On", "true"), ("TRUE", "true"), ("n", "false"), ("off", "false"),
        ("yEs", #""yEs""#), ("~", "null"), ("Null", "null"), ("nULL", #""nULL""#),
        ("0", "0"), ("-0", "0"), ("12", "12"), ("+12", "12"), ("-7", "-7"), ("012", "10"), ("-010", "-8"),
        ("0o17", "15"),
        ("0x1F", "31"), ("-0x1f", "-31"), ("0b101", "5"), ("1_000", "1000"), ("08", "8"), ("0x", #""0x""#),
        ("0b2", #""0b2""#),
        ("123456789012345678901234567890", "123456789012345678901234567890"),
        ("1.50", "1.50"), (".5", "0.5"), ("5.", "5"), ("+1.5", "1.5"), ("-.5", "-0.5"), ("1e3", "1e3"),
        ("1E+3", "1e+3"),
        ("012.5", "12.5"), ("1e999", #""1e999""#), ("1.2.3", #""1.2.3""#), ("1e", #""1e""#), (".", #"".""#),
        ("12:30:45", #""12:30:45""#), ("2001-12-14", #""2001-12-14""#), ("0755a", #""0755a""#), ("--1", #""--1""#),
        ("'yes'", #""yes""#), ("\"12\"", #""12""#), ("!!str 12", #""12""#), ("!!int \"12\"", "12"), ("!!float 1", "1"),
        ("!!bool \"yes\"", "true"), ("!own 12", #""12""#), ("! 12", #""12""#),
        ("!!timestamp 2001-12-14", #""2001-12-14""#),
    ])
    func scalars(_ text: String, _ json: String) throws {
        #expect(try read("[" + text + "]")?.json == "[" + json + "]")
        #expect(try read("a: " + text)?.json == #"{"a":"# + json + "}")
    }

    @Test(arguments: [".inf", "-.INF", ".nan", "!!int a", "!!int 1.5", "!!bool 1", "!!binary aGk=", "!!null x"])
    func scalarsThatHaveNoMeaning(_ text: String) {
        #expect(problem("a: " + text)?.hasPrefix("line 1, column 4: ") == true)
    }

    @Test func keysAreText() throws {
        #expect(
            try read("{1: a, 0x10: b, yes: c, 1.5: d, \"~\": e, n: f}")?.object?.keys == [
                "1", "16", "true", "1.5", "~", "false",
            ])
        #expect(problem("~: a")?.contains("a key is empty") == true)
        #expect(problem("? [a]\n: b")?.contains("a key is a list") == true)
        #expect(
            problem("a: 1\nb:\n  c: 1\n  c: 2")?.hasPrefix("line 4, column 3: the key \"c\" is there twice") == true)
        #expect(problem("1: a\n0x1: b")?.contains("twice") == true)
    }

    @Test func aliasesAndMergeKeys() throws {
        #expect(try read("a: &x {b: 1}\nc: *x")?.json == #"{"a":{"b":1},"c":{"b":1}}"#)
        let base = "base: &b {p: 1, q: 2}\nother: &o {q: 3, r: 4}\n"
        #expect(try read(base + "m: {<<: *b, q: 9}")?["m"] == ["p": 1, "q": 9])
        // Kubernetes' reader goes by the order in the text.
        #expect(try read(base + "m: {q: 9, <<: *b}")?["m"] == ["q": 2, "p": 1])
        #expect(try read(base + "m: {<<: [*b, *o]}")?["m"] == ["p": 1, "q": 2, "r": 4])
        #expect(try read("m: {\"<<\": 1}")?["m"] == ["<<": 1])
        #expect(problem("m: {<<: 1}")?.contains("the merge key << takes a mapping") == true)
        #expect(problem("a: *x")?.contains("*x refers to an anchor &x") == true)
        #expect(problem("a: &x [*x]")?.contains("*x refers") == true)
    }

    @Test func positionsCountFromOne() throws {
        let node = try #require(try YAMLReader.read(Array("a: 1\nb:\n  - c: [x, yy]\n".utf8)[...], precedingLines: 10))
        let list = try #require(node["b"])
        guard case .sequence(let items) = list.content, case .mapping(let entries) = items[0].content,
            case .sequence(let inner) = entries[0].value.content
        else { return #expect(Bool(false)) }
        #expect(list.position == YAMLPosition(line: 13, column: 3))
        #expect(entries[0].keyPosition == YAMLPosition(line: 13, column: 5))
        #expect(inner[1].position == YAMLPosition(line: 13, column: 12))
        #expect(inner[1].end == YAMLPosition(line: 13, column: 14))
    }

    @Test func depthIsBounded() throws {
        let depth = YAMLLimits.depth
        #expect(try read(String(repeating: "[", count: depth) + String(repeating: "]", count: depth)) != nil)
        #expect(problem(String(repeating: "[", count: depth + 1))?.contains("more than \(depth) deep") == true)
        #expect(problem(String(repeating: "- ", count: depth + 1) + "a")?.contains("more than \(depth) deep") == true)
    }

    @Test func aliasesOfAliasesAreBounded() {
        var text = "a0: &a0 [1,1,1,1,1,1,1,1,1,1]\n"
        for level in 1...9 {
            let aliases = [String](repeating: "*a\(level - 1)", count: 10).joined(separator: ",")
            text += "a\(level): &a\(level) [\(aliases)]\n"
        }
        #expect(problem(text)?.contains("more than \(YAMLLimits.nodes) values") == true)
    }

    @Test func sizeIsBounded() {
        let text = "a: '" + String(repeating: "x", count: YAMLLimits.bytes) + "'"
        #expect(problem(text)?.contains("\(YAMLLimits.bytes) is the most") == true)
    }

    @Test func noDocumentIsNoError() throws {
        #expect(try read("# only a comment\n") == nil)
        #expect(try read("") == nil)
        #expect(try read("---\n") == .null)
        #expect(problem("a: 1\n---\nb: 2")?.hasPrefix("line 2, column 1: a second document") == true)
    }
}
