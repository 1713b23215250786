import Injection
import Manifest
import Proxy

/// What the webhook says to one request.
package struct AdmissionVerdict: Equatable {
    /// For the log and as a metric's label.
    package enum Outcome: String, CaseIterable, Sendable { case injected, unchanged, skipped, refused }

    package let outcome: Outcome
    private let patch: [PatchOperation]
    /// What the user reads: `kubectl` prints them.
    package let warnings: [String]
    /// Why not, when it is refused.
    package let message: String

    /// Warnings of a response that Kubernetes passes on in full.
    package static let maximumWarningBytes = 256

    init(_ outcome: InjectionOutcome) {
        var patch: [PatchOperation] = []
        var warnings: [String] = []
        var message = ""
        switch outcome {
        case .injected(let operations, let sentences):
            self.outcome = .injected
            patch = operations
            warnings = sentences
        case .unchanged: self.outcome = .unchanged
        case .skipped(let reason):
            self.outcome = .skipped
            message = reason.sentence
            if reason.isNoteworthy { warnings = ["not injected: \(reason.sentence)"] }
        case .refused(let sentences):
            self.outcome = .refused
            message = sentences.joined(separator: "; ")
        }
        self.patch = patch
        self.warnings = warnings
        self.message = message
    }

    /// The AdmissionReview that answers a request.
    package func review(uid: String) -> [UInt8] {
        var json = JSONWriter()
        json.object { json in
            json.field("apiVersion", AdmissionRequest.apiVersion)
            json.field("kind", "AdmissionReview")
            json.object("response") { response in
                response.field("uid", uid)
                response.field("allowed", outcome != .refused)
                if outcome == .refused {
                    response.object("status") { status in
                        status.field("code", 400)
                        status.field("reason", "BadRequest")
                        status.field("message", "sidecar: \(message)")
                    }
                }
                if !patch.isEmpty {
                    response.field("patchType", "JSONPatch")
                    response.field("patch", Base64.text(Array(ManifestValue.array(patch.map(\.json)).json.utf8)))
                }
                if !warnings.isEmpty { response.field("warnings", warnings.map(AdmissionVerdict.warning)) }
            }
        }
        return json.bytes
    }

    /// Kubernetes cuts longer ones; it is better done at the end of a character.
    private static func warning(_ sentence: String) -> String {
        var text = "sidecar: \(sentence)"
        guard text.utf8.count > maximumWarningBytes else { return text }
        while text.utf8.count > maximumWarningBytes - 3 { text.removeLast() }
        return text + "..."
    }
}
