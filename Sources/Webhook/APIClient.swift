package import Manifest
package import Proxy

/// Speaks to the Kubernetes API server as the pod's service account.
package final class APIClient {
    /// How an object is changed.
    package enum Verb: String, Sendable { case get, create, update, patch }

    /// One object, or the place where one is to be.
    package struct Place: Sendable, Equatable {
        /// As RBAC names it: empty for the core group.
        package let group: String
        package let resource: String
        /// nil for objects outside of namespaces.
        package let namespace: String?
        package let name: String

        package static func secret(_ name: String, in namespace: String) -> Place {
            Place(group: "", resource: "secrets", namespace: namespace, name: name)
        }

        package static func mutatingWebhookConfiguration(_ name: String) -> Place {
            Place(
                group: "admissionregistration.k8s.io", resource: "mutatingwebhookconfigurations", namespace: nil,
                name: name)
        }

        /// For a message.
        var description: String { "\(resource)/\(name)" + (namespace.map { " in the namespace \($0)" } ?? "") }

        func path(_ verb: Verb) -> String {
            let root = group.isEmpty ? "/api/v1" : "/apis/\(group)/v1"
            let collection = root + (namespace.map { "/namespaces/\($0)" } ?? "") + "/\(resource)"
            switch verb {
            case .create: return collection
            case .get, .update, .patch: return "\(collection)/\(name)"
            }
        }
    }

    package typealias Done = (Result<ManifestValue, APIError>) -> Void

    private let account: ServiceAccount
    private let reactor: Reactor
    private let names: ServiceNames

    /// From a call to its whole answer.
    static let seconds = 10

    package init(_ account: ServiceAccount, in reactor: Reactor) throws(SystemError) {
        self.account = account
        self.reactor = reactor
        names = try ServiceNames(in: reactor)
    }

    /// Answers with the object as it is then; never before this returns.
    ///
    /// - Parameter body: the object, or a JSON Patch for `patch`.
    package func call(_ verb: Verb, _ place: Place, _ body: ManifestValue? = nil, then done: @escaping Done) {
        let target: CallTarget
        let token: String
        do throws(ServiceAccount.Missing) {
            token = try account.token()
            target = try self.target()
        } catch {
            return HTTPCall.later(in: reactor) { done(.failure(.unreachable(error.sentence))) }
        }
        var fields = [("authorization", "Bearer \(token)"), ("accept", "application/json"), ("user-agent", "sidecar")]
        if body != nil {
            fields.append(("content-type", verb == .patch ? "application/json-patch+json" : "application/json"))
        }
        let request = HTTPCall.Request(
            verb.method, place.path(verb), fields: fields, body: body.map { Array($0.json.utf8) } ?? [])
        let server = "\(account.host):\(account.port)"
        HTTPCall.start(request, to: target, seconds: APIClient.seconds, in: reactor) { result in
            switch result {
            case .failure(let failure):
                done(.failure(.unreachable("the API server \(server) does not answer: \(failure.sentence)")))
            case .success(let answer): done(APIClient.read(answer, verb, place))
            }
        }
    }

    /// With the anchors of this moment: the kubelet may have replaced them.
    private func target() throws(ServiceAccount.Missing) -> CallTarget {
        let anchors = try account.anchors()
        do throws(TLSConfigurationError) {
            let context = try TLSContext.anonymousClient(trusting: anchors, minimumVersion: .v1_2)
            return CallTarget(host: account.host, port: account.port, context: context, names: names)
        } catch {
            throw ServiceAccount.Missing(sentence: "\(account.directory)/ca.crt cannot be used: \(error)")
        }
    }

    private static func read(
        _ answer: HTTPCall.Answer, _ verb: Verb, _ place: Place
    ) -> Result<ManifestValue, APIError> {
        let value = try? JSONReader.read(answer.body)
        guard (200..<300).contains(answer.status) else {
            return .failure(APIError(answer.status, message: value?["message"]?.string, verb, place))
        }
        guard let value, value.object != nil else {
            return .failure(.unreachable("the API server's answer about \(place.description) is no JSON object"))
        }
        return .success(value)
    }
}

extension APIClient.Verb {
    fileprivate var method: String {
        switch self {
        case .get: "GET"
        case .create: "POST"
        case .update: "PUT"
        case .patch: "PATCH"
        }
    }
}
