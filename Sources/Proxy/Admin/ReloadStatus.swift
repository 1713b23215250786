/// What became of the certificate reloads, for `/metrics` and `/certs`.
struct ReloadStatus: Sendable {
    /// Reloads that took effect.
    var successes: UInt64 = 0
    /// Reloads that were refused, the old material staying in force.
    var failures: UInt64 = 0
    /// How many of these for a reason; for several, where several things were wrong.
    var failuresByReason: [CertificateProblem.Reason: UInt64] = [:]
    /// Why the last reload was refused, a sentence each; empty when it was not.
    var problems: [String] = []
}
