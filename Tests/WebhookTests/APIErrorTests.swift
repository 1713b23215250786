import Testing

@testable import Webhook

@Suite struct APIErrorTests {
    private let secret = APIClient.Place.secret("s", in: "n")
    private let registration = APIClient.Place.mutatingWebhookConfiguration("r")

    @Test func aMissingPermissionIsNamedAsTheRuleThatGrantsIt() {
        #expect(
            APIError(403, message: "User x cannot", .update, secret).sentence
                == "the API server forbids to update secrets/s in the namespace n (403): the service account needs the rule "
                + "{apiGroups: [\"\"], resources: [secrets], resourceNames: [s], verbs: [update]} in a Role of the namespace n: "
                + "User x cannot")
        #expect(
            APIError(403, message: nil, .create, secret).sentence.contains("resources: [secrets], verbs: [create]}"))
        #expect(
            APIError(403, message: nil, .patch, registration).sentence.hasSuffix(
                "{apiGroups: [\"admissionregistration.k8s.io\"], resources: [mutatingwebhookconfigurations], "
                    + "resourceNames: [r], verbs: [patch]} in a ClusterRole"))
    }

    @Test func statusesAreToldApart() {
        guard case .unauthenticated = APIError(401, message: nil, .get, secret),
            case .notFound = APIError(404, message: nil, .get, secret),
            case .conflict = APIError(409, message: nil, .update, secret),
            case .refused = APIError(422, message: nil, .patch, registration)
        else {
            Issue.record("a status is taken for another")
            return
        }
    }

    @Test func theServersOwnWordsAreCut() {
        let long = String(repeating: "x", count: 100_000)
        #expect(APIError(500, message: long, .get, secret).sentence.count < 500)
    }

    @Test(arguments: [
        (APIClient.Verb.get, "/api/v1/namespaces/n/secrets/s"), (.update, "/api/v1/namespaces/n/secrets/s"),
        (.create, "/api/v1/namespaces/n/secrets"),
    ])
    func pathsAreThoseOfTheAPI(_ verb: APIClient.Verb, _ path: String) {
        #expect(secret.path(verb) == path)
    }
}
