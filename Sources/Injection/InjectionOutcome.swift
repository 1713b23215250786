package import Manifest

/// What injection makes of an object.
package enum InjectionOutcome: Equatable, Sendable {
    /// These operations add the sidecar. Warnings are sentences for the user; the pod runs all the same.
    case injected([PatchOperation], warnings: [String])
    /// The object has this very sidecar already.
    case unchanged
    /// The object takes no part, and why. The reason is a sentence without its full stop.
    case skipped(SkipReason)
    /// The object asks for what cannot be: each sentence names the place and what to do.
    case refused([String])
}

/// Why an object is left alone.
package struct SkipReason: Equatable, Sendable {
    /// Whether somebody who asked for the sidecar should be told: false where nobody asked for it.
    package let isNoteworthy: Bool
    package let sentence: String

    package init(_ sentence: String, isNoteworthy: Bool) {
        self.sentence = sentence
        self.isNoteworthy = isNoteworthy
    }
}

/// What was made of the wish for a Service.
package enum ServiceOutcome: Equatable, Sendable {
    case service(ManifestValue)
    /// None, and why.
    case unsuitable(String)
}
