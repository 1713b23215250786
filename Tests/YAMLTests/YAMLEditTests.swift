import Manifest
import Testing
import YAML

@Suite struct YAMLEditTests {
    private func edit(_ text: String, _ operations: [PatchOperation]) throws -> (text: String, keepsText: Bool) {
        let bytes = Array(text.utf8)
        let root = try #require(try YAMLReader.read(bytes[...]))
        let value = try root.value.applying(operations)
        let result = try #require(YAMLEdit.apply(value, to: root, in: bytes[...], precedingLines: 0))
        #expect(try YAMLReader.read(result.bytes[...])?.value == value)
        return (String(decoding: result.bytes, as: UTF8.self), result.keepsText)
    }

    private static let sample = """
        # head
        a:   1   # one
        list:   # things
          # the first
          - name: x
            v: "1"  # kept

          # the second
          - name: y
        map:
            k: 'v'
            # tail of map
        # tail

        """

    @Test func aMemberIsAddedBehindTheLast() throws {
        #expect(
            try edit(Self.sample, [.add(JSONPointer(["map", "more"]), true)]).text
                == Self.sample.replacingText("    k: 'v'\n", "    k: 'v'\n    more: true\n"))
    }

    @Test func anItemIsAddedAboveTheCommentOfTheNext() throws {
        #expect(
            try edit(Self.sample, [.add(JSONPointer(["list", "0"]), ["name": "s"])]).text
                == Self.sample.replacingText("  # the first\n", "  - name: s\n  # the first\n"))
    }

    @Test func anItemChangesInside() throws {
        #expect(
            try edit(Self.sample, [.add(JSONPointer(["list", "0", "w"]), [1])]).text
                == Self.sample.replacingText("# kept\n", "# kept\n    w:\n    - 1\n"))
    }

    @Test func whatIsRemovedLeavesTheCommentOfTheNext() throws {
        #expect(
            try edit(Self.sample, [.remove(JSONPointer(["list", "0"]))]).text
                == Self.sample.replacingText("  - name: x\n    v: \"1\"  # kept\n", ""))
    }

    @Test func aFirstLineWithItsDashIsChanged() throws {
        #expect(
            try edit("- a: 1\n  b: 2\n".inList, [.replace(JSONPointer(["l", "0", "a"]), 3)]).text
                == "- a: 3\n  b: 2\n".inList)
    }

    @Test func flowStyleInWhatChangesIsWrittenAnewThereOnly() throws {
        #expect(
            try edit("# c\nm: {a: 1} # gone\nz:  9\n", [.add(JSONPointer(["m", "b"]), 2)]).text
                == "# c\nm:\n  a: 1\n  b: 2\nz:  9\n")
    }

    @Test func anAliasOfWhatChangesIsWrittenOut() throws {
        let result = try edit("a: &x\n  b: 1\nc: *x\n", [.add(JSONPointer(["a", "d"]), 2)])
        #expect(!result.keepsText)
        #expect(result.text == "a:\n  b: 1\n  d: 2\nc:\n  b: 1\n")
    }

    @Test func jsonStaysJSON() throws {
        #expect(
            try edit("--- {\"a\":1}\n# end\n", [.add(JSONPointer(["b"]), 2)]).text == "--- {\"a\":1,\"b\":2}\n# end\n")
        #expect(
            try edit("{\n \"a\": 1\n}\n", [.add(JSONPointer(["b"]), 2)]).text == "{\n \"a\": 1,\n \"b\": 2\n}\n")
    }

    @Test func aLastLineWithoutEnd() throws {
        #expect(try edit("a: 1", [.add(JSONPointer(["b"]), 2)]).text == "a: 1\nb: 2\n")
    }

    @Test func aBlockOfTextKeepsItsEmptyLines() throws {
        #expect(try edit("a: |+\n  x\n\n\n", [.add(JSONPointer(["b"]), 2)]).text == "a: |+\n  x\n\n\nb: 2\n")
    }
}

extension String {
    fileprivate func replacingText(_ old: String, _ new: String) -> String {
        split(separator: old, omittingEmptySubsequences: false).joined(separator: new)
    }

    /// As the value of `l:`.
    fileprivate var inList: String { "l:\n" + self }
}
