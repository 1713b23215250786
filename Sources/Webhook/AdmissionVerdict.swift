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

    /// Warnings of a response that Kubernetes passes on in full, each and together.
    package static let maximumWarningBytes = 256
    package static let maximumWarnings = 16
    /// Of a refusal: nobody reads more, and a pod may have a hundred thousand faults.
    package static let maximumMessageBytes = 4_096

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
        self.warnings = AdmissionVerdict.first(warnings)
        self.message = message.cut(toBytes: AdmissionVerdict.maximumMessageBytes)
    }

    private static func first(_ sentences: [String]) -> [String] {
        guard sentences.count > maximumWarnings else { return sentences.map(warning) }
        let rest = sentences.count - maximumWarnings + 1
        return sentences.prefix(maximumWarnings - 1).map(warning) + ["sidecar: and \(rest) more warnings"]
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
                if !warnings.isEmpty { response.field("warnings", warnings) }
            }
        }
        return json.bytes
    }

    /// Kubernetes cuts longer ones; it is better done here, and marked.
    private static func warning(_ sentence: String) -> String {
        "sidecar: \(sentence)".cut(toBytes: maximumWarningBytes)
    }
}
