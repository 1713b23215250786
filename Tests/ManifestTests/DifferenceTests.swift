import Manifest
import Testing

@Suite struct DifferenceTests {
    /// The operations lead from one to the other, and back.
    private func check(_ old: ManifestValue, _ new: ManifestValue) throws -> [String] {
        let operations = old.operations(to: new)
        #expect(try old.applying(operations) == new)
        #expect(try new.applying(new.operations(to: old)) == old)
        return operations.map(\.json.json)
    }

    @Test func whatIsTheSameNeedsNoOperation() throws {
        #expect(try check(["a": [1, "b", ["c": true]]], ["a": [1, "b", ["c": true]]]) == [])
    }

    @Test func membersAreAddedReplacedAndRemoved() throws {
        #expect(
            try check(["a": 1, "b": ["x": 1]], ["b": ["x": 2], "c": [:]]) == [
                #"{"op":"remove","path":"/a"}"#, #"{"op":"replace","path":"/b/x","value":2}"#,
                #"{"op":"add","path":"/c","value":{}}"#,
            ])
    }

    @Test func aContainerPutBeforeOthersIsOneOperation() throws {
        #expect(
            try check([["name": "a"], ["name": "b"]], [["name": "s"], ["name": "a"], ["name": "b"]]) == [
                #"{"op":"add","path":"/0","value":{"name":"s"}}"#
            ])
    }

    @Test func aNamedItemKeepsItsIdentity() throws {
        let old: ManifestValue = [["name": "a", "v": 1], ["name": "b", "v": 1]]
        let new: ManifestValue = [["name": "b", "v": 2]]
        #expect(
            try check(old, new) == [#"{"op":"remove","path":"/0"}"#, #"{"op":"replace","path":"/0/v","value":2}"#])
    }

    @Test func anyTwoListsCanBeTurnedIntoOneAnother() throws {
        let names: [ManifestValue] = [["name": "a"], ["name": "b"], "a", "a", 1]
        var lists: [[ManifestValue]] = [[]]
        for length in 1...4 {
            lists += lists.filter { $0.count == length - 1 }.flatMap { list in names.map { list + [$0] } }
        }
        for old in lists.prefix(160) {
            for new in lists.prefix(160) {
                let operations = ManifestValue.array(old).operations(to: .array(new))
                #expect(try ManifestValue.array(old).applying(operations) == .array(new))
            }
        }
    }

    @Test func aPointerEscapesItsTokens() {
        #expect(JSONPointer(["a/b", "m~n", "", "0"]).description == "/a~1b/m~0n//0")
    }

    @Test(arguments: [
        PatchOperation.remove(JSONPointer(["x"])), .replace(JSONPointer(["x"]), 1), .add(JSONPointer(["x", "y"]), 1),
        .add(JSONPointer(["list", "2"]), 1), .remove(JSONPointer(["list", "1"])), .remove(JSONPointer()),
        .replace(JSONPointer(["list", "-"]), 1), .add(JSONPointer(["list", "-1"]), 1),
    ])
    func whatDoesNotFitIsAnError(_ operation: PatchOperation) {
        let document: ManifestValue = ["list": [1]]
        #expect(throws: PatchError(path: operation.path)) { try document.applying([operation]) }
    }
}
