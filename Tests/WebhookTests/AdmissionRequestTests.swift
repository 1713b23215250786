import Manifest
import Testing

@testable import Webhook

@Suite struct AdmissionRequestTests {
    private func review(_ request: String) -> [UInt8] {
        Array(#"{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":\#(request)}"#.utf8)
    }

    @Test func whatTheServerAsksIsRead() throws {
        let request = try AdmissionRequest(
            review(
                #"{"uid":"u-1","operation":"CREATE","namespace":"demo","name":"","dryRun":true,"object":{"kind":"Pod","metadata":{"generateName":"web-"}}}"#
            ))
        #expect(request.uid == "u-1")
        #expect(request.operation == .create)
        #expect(request.namespace == "demo")
        #expect(request.kind == "Pod")
        #expect(request.name == "web-*")
        #expect(request.isDryRun)
        #expect(request.object?["metadata"]?["generateName"]?.string == "web-")
    }

    @Test func orderAndUnknownMembersDoNotMatter() throws {
        let request = try AdmissionRequest(
            Array(
                #" {"request":{"x":[1,{"y":null}],"operation":"DELETE","object":null,"uid":"u"},"z":1,"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview"} "#
                    .utf8))
        #expect(request.operation == .delete)
        #expect(request.object == nil)
        #expect(request.name.isEmpty)
    }

    @Test(arguments: [
        ("", "the body is not JSON: at byte 1"),
        ("{", "the body is not JSON"),
        ("[]", "the body must be an AdmissionReview, not a list"),
        ("null", "the body must be an AdmissionReview, not null"),
        ("{}", "the body must be an AdmissionReview: its kind is another"),
        (#"{"kind":"Pod"}"#, "the body must be an AdmissionReview: its kind is another"),
        (#"{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1beta1"}"#, "admissionReviewVersions: [v1]"),
        (#"{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1"}"#, "the AdmissionReview has no request"),
        (#"{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":[]}"#, "it must be an object"),
    ])
    func whatIsNoReviewIsSaidToBeNone(_ body: String, _ words: String) {
        #expect { try AdmissionRequest(Array(body.utf8)) } throws: { error in
            (error as? AdmissionRequest.Malformed)?.sentence.contains(words) ?? false
        }
    }

    @Test(arguments: [
        (#"{}"#, "request.uid must be a text"), (#"{"uid":1}"#, "request.uid must be a text"),
        (#"{"uid":""}"#, "request.uid must be a text"),
        (#"{"uid":"\#(String(repeating: "u", count: 129))"}"#, "of 1 to 128 bytes"),
        (#"{"uid":"u"}"#, "request.operation must be"),
        (#"{"uid":"u","operation":"create"}"#, "request.operation must be"),
        (#"{"uid":"u","operation":"CREATE","object":"x"}"#, "request.object must be an object, not a string"),
        (#"{"uid":"u","operation":"CREATE","namespace":1}"#, "request.namespace must be a text, not a number"),
        (#"{"uid":"u","operation":"CREATE","dryRun":"yes"}"#, "request.dryRun must be true or false, not a string"),
    ])
    func aRequestThatCannotBeIsRefused(_ request: String, _ words: String) {
        #expect { try AdmissionRequest(review(request)) } throws: { error in
            (error as? AdmissionRequest.Malformed)?.sentence.contains(words) ?? false
        }
    }

    /// Every prefix of a review is malformed, and none of them traps.
    @Test func aReviewThatIsCutOffIsRefused() {
        let whole = review(
            #"{"uid":"u\u00e9\ud83d\ude00","operation":"CREATE","object":{"kind":"Pod","n":[1.5e3,true]}}"#)
        for count in whole.indices {
            #expect(throws: AdmissionRequest.Malformed.self) { try AdmissionRequest(Array(whole[..<count])) }
        }
    }

    @Test func depthIsBounded() {
        let deep = String(repeating: "[", count: 100_000)
        #expect(throws: AdmissionRequest.Malformed.self) { try AdmissionRequest(review(deep)) }
        let objects = String(repeating: #"{"a":"#, count: 100_000)
        #expect(throws: AdmissionRequest.Malformed.self) { try AdmissionRequest(review(objects)) }
    }
}
