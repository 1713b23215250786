import Manifest
import Testing

@testable import Webhook

@Suite struct RegistrationTests {
    private func registration(_ webhooks: [ManifestValue]) -> Registration {
        Registration(["kind": "MutatingWebhookConfiguration", "webhooks": .array(webhooks)])
    }

    private func webhook(_ name: ManifestValue, bundle: String? = nil, policy: ManifestValue = "Fail") -> ManifestValue
    {
        var client = ManifestObject([("service", ["name": "x"])])
        if let bundle { client["caBundle"] = .string(bundle) }
        return ["name": name, "failurePolicy": policy, "clientConfig": .object(client)]
    }

    @Test func whatIsInPlaceIsLeftAlone() {
        let found = registration([webhook("a", bundle: "eHg="), webhook("b", bundle: "eHg=")])
        #expect(found.patch(caBundle: Array("xx".utf8), failurePolicy: nil) == nil)
        #expect(found.patch(caBundle: Array("xx".utf8), failurePolicy: .fail) == nil)
    }

    @Test func onlyWhatDiffersIsChangedAndEachWebhookIsNamed() {
        let found = registration([
            webhook("a", bundle: "eHg="), webhook("b"), webhook("c", bundle: "eHg=", policy: "Ignore"),
        ])
        let patch = found.patch(caBundle: Array("xx".utf8), failurePolicy: .fail)
        #expect(
            patch == [
                ["op": "test", "path": "/webhooks/1/name", "value": "b"],
                ["op": "add", "path": "/webhooks/1/clientConfig/caBundle", "value": "eHg="],
                ["op": "test", "path": "/webhooks/2/name", "value": "c"],
                ["op": "add", "path": "/webhooks/2/failurePolicy", "value": "Fail"],
            ])
    }

    @Test func aRegistrationWithoutWebhooksIsSeen() {
        #expect(registration([]).webhookCount == 0)
        #expect(Registration(["webhooks": "x"]).webhookCount == 0)
    }
}
