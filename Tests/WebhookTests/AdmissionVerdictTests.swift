import Injection
import Manifest
import Proxy
import Testing

@testable import Webhook

@Suite struct AdmissionVerdictTests {
    private func response(_ outcome: InjectionOutcome) throws -> ManifestValue {
        let review = try JSONReader.read(AdmissionVerdict(outcome).review(uid: "u-\"1"))
        #expect(review["kind"] == "AdmissionReview")
        #expect(review["apiVersion"] == "admission.k8s.io/v1")
        let response = try #require(review["response"])
        #expect(response["uid"] == "u-\"1")
        return response
    }

    @Test func aPatchIsBase64OfItsOperations() throws {
        let operation = PatchOperation.add(JSONPointer(["metadata", "annotations", "a/b"]), "ä\n")
        let response = try response(.injected([operation], warnings: ["mind the gap"]))
        #expect(response["allowed"] == true)
        #expect(response["patchType"] == "JSONPatch")
        #expect(response["warnings"] == ["sidecar: mind the gap"])
        let bytes = try #require(response["patch"]?.string.flatMap { Base64.bytes($0) })
        #expect(
            try JSONReader.read(bytes) == [["op": "add", "path": "/metadata/annotations/a~1b", "value": "ä\n"]])
    }

    @Test func nothingToDoIsSaidInFewWords() throws {
        #expect(try response(.unchanged) == ["uid": "u-\"1", "allowed": true])
        let quiet = SkipReason("nobody asked", isNoteworthy: false)
        #expect(try response(.skipped(quiet)) == ["uid": "u-\"1", "allowed": true])
    }

    @Test func aSkipThatMattersIsAWarning() throws {
        let response = try response(.skipped(SkipReason("it runs on Windows", isNoteworthy: true)))
        #expect(response["warnings"] == ["sidecar: not injected: it runs on Windows"])
    }

    @Test func aRefusalSaysAllThatIsWrong() throws {
        let response = try response(.refused(["one is wrong", "two is too"]))
        #expect(response["allowed"] == false)
        #expect(
            response["status"]
                == ["code": 400, "reason": "BadRequest", "message": "sidecar: one is wrong; two is too"])
        #expect(response["patch"] == nil)
    }

    @Test func aLongWarningIsCutBetweenCharacters() throws {
        let long = String(repeating: "ä", count: 400)
        let warning = try #require(try response(.injected([], warnings: [long]))["warnings"]?.array?.first?.string)
        #expect(warning.utf8.count <= AdmissionVerdict.maximumWarningBytes)
        #expect(warning.hasSuffix("ä..."))
    }
}
