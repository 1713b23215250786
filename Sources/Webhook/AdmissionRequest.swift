package import Manifest

/// What the API server asks: may this object be made, and is it to be changed (admission.k8s.io/v1, AdmissionReview).
package struct AdmissionRequest {
    package enum Operation: String, Sendable {
        case create = "CREATE"
        case update = "UPDATE"
        case delete = "DELETE"
        case connect = "CONNECT"
    }

    /// Why a body is no review that can be answered: a sentence.
    package struct Malformed: Error, Equatable { package let sentence: String }

    package let uid: String
    package let operation: Operation
    /// Empty for an object outside of namespaces.
    package let namespace: String
    package let kind: String
    /// The object's name, or what a name will be made from, with a star.
    package let name: String
    package let isDryRun: Bool
    /// nil where there is none, as for DELETE.
    package let object: ManifestValue?

    package static let apiVersion = "admission.k8s.io/v1"

    package init(_ body: [UInt8]) throws(Malformed) {
        let review: ManifestValue
        do throws(JSONError) {
            review = try JSONReader.read(body)
        } catch {
            throw Malformed(sentence: "the body is not JSON: \(error.sentence)")
        }
        guard let request = try AdmissionRequest.request(of: review) else {
            throw Malformed(sentence: "the AdmissionReview has no request: it must be an object")
        }
        uid = try AdmissionRequest.uid(of: request)
        guard let operation = request["operation"]?.string.flatMap(Operation.init) else {
            throw Malformed(sentence: "request.operation must be CREATE, UPDATE, DELETE or CONNECT")
        }
        self.operation = operation
        let object = request["object"].flatMap { $0.isNull ? nil : $0 }
        if let object, object.object == nil {
            throw Malformed(sentence: "request.object must be an object, not \(object.kindName)")
        }
        self.object = object
        namespace = try AdmissionRequest.text("namespace", of: request)
        isDryRun = try AdmissionRequest.flag("dryRun", of: request)
        kind = object?["kind"]?.string ?? request["kind"]?["kind"]?.string ?? ""
        let metadata = object?["metadata"]
        let known = [try AdmissionRequest.text("name", of: request), metadata?["name"]?.string ?? ""]
        name = known.first { !$0.isEmpty } ?? metadata?["generateName"]?.string.map { "\($0)*" } ?? ""
    }

    private static func request(of review: ManifestValue) throws(Malformed) -> ManifestValue? {
        guard review.object != nil else {
            throw Malformed(sentence: "the body must be an AdmissionReview, not \(review.kindName)")
        }
        guard review["kind"]?.string == "AdmissionReview" else {
            throw Malformed(sentence: "the body must be an AdmissionReview: its kind is another")
        }
        guard review["apiVersion"]?.string == apiVersion else {
            throw Malformed(
                sentence: "the AdmissionReview's apiVersion must be \(apiVersion): register the webhook with "
                    + "admissionReviewVersions: [v1]")
        }
        guard let request = review["request"], request.object != nil else { return nil }
        return request
    }

    private static func uid(of request: ManifestValue) throws(Malformed) -> String {
        guard let uid = request["uid"]?.string, !uid.isEmpty, uid.utf8.count <= maximumUIDBytes else {
            throw Malformed(sentence: "request.uid must be a text of 1 to \(maximumUIDBytes) bytes")
        }
        return uid
    }

    /// A UUID has 36; the answer and the log repeat it.
    package static let maximumUIDBytes = 128

    private static func text(_ key: String, of request: ManifestValue) throws(Malformed) -> String {
        guard let value = request[key], !value.isNull else { return "" }
        guard let text = value.string else {
            throw Malformed(sentence: "request.\(key) must be a text, not \(value.kindName)")
        }
        return text
    }

    private static func flag(_ key: String, of request: ManifestValue) throws(Malformed) -> Bool {
        guard let value = request[key], !value.isNull else { return false }
        guard let flag = value.bool else {
            throw Malformed(sentence: "request.\(key) must be true or false, not \(value.kindName)")
        }
        return flag
    }
}
