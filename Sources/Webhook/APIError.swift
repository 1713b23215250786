/// Why the API server has not done what it was asked: a sentence that says what to do, where something can be done.
package enum APIError: Error, Equatable {
    /// Nobody answered, or nothing that makes sense.
    case unreachable(String)
    /// The token is not accepted (401).
    case unauthenticated(String)
    /// A rule of RBAC is missing (403).
    case forbidden(String)
    case notFound(String)
    /// Somebody else was quicker (409): look again.
    case conflict(String)
    /// Anything else that it said.
    case refused(String)

    init(_ status: UInt16, message: String?, _ verb: APIClient.Verb, _ place: APIClient.Place) {
        let words = message.map { ": \($0.prefix(APIError.maximumMessageCharacters))" } ?? ""
        switch status {
        case 401:
            self = .unauthenticated(
                "the API server does not accept the service account's token (401)\(words)")
        case 403:
            self = .forbidden(
                "the API server forbids to \(verb.rawValue) \(place.description) (403): the service account needs the rule "
                    + APIError.rule(verb, place) + words)
        case 404: self = .notFound("the API server knows no \(place.description) (404)\(words)")
        case 409: self = .conflict("\(place.description) was changed by somebody else (409)\(words)")
        case _: self = .refused("the API server answers \(status) to \(verb.rawValue) \(place.description)\(words)")
        }
    }

    /// More of the server's own words would not be read.
    private static let maximumMessageCharacters = 300

    /// As it would stand in a Role or ClusterRole.
    private static func rule(_ verb: APIClient.Verb, _ place: APIClient.Place) -> String {
        // RBAC cannot limit `create` by name: the object has none yet when it is asked.
        let names: String
        switch verb {
        case .create: names = ""
        case .get, .update, .patch: names = ", resourceNames: [\(place.name)]"
        }
        return
            "{apiGroups: [\"\(place.group)\"], resources: [\(place.resource)]\(names), verbs: [\(verb.rawValue)]} in a "
            + (place.namespace.map { "Role of the namespace \($0)" } ?? "ClusterRole")
    }

    package var sentence: String {
        switch self {
        case .unreachable(let sentence), .unauthenticated(let sentence), .forbidden(let sentence),
            .notFound(let sentence), .conflict(let sentence), .refused(let sentence):
            sentence
        }
    }
}
