/// The certificates in force and how they got there, for the monitor port. It belongs to the control thread.
package final class MaterialStatus {
    let source: CertificateSource
    package private(set) var material: TLSMaterial
    /// What it was read from.
    private(set) var files: [CertificateSurvey.File]
    /// When what the pairs cannot do without expires; found once, since a bundle may be long.
    private var expiries: [CertificateExpiry]
    /// How often other material was taken into force.
    private(set) var reloads: UInt64 = 0
    /// How often changed files could not be taken.
    private(set) var failures: UInt64 = 0
    /// How many of these for a reason; for several, where several things were wrong.
    private(set) var failuresByReason: [CertificateProblem.Reason: UInt64] = [:]
    /// Why the files, as they are now, cannot be loaded; empty when the material is that of the files.
    private(set) var problems: [CertificateProblem] = []
    /// What is legal and seldom meant in the material in force, a sentence each.
    private(set) var warnings: [String] = []
    /// Seconds since the epoch.
    private(set) var loadedAt: Int64
    private(set) var failedAt: Int64?

    init(
        _ source: CertificateSource, _ material: TLSMaterial, _ files: [CertificateSurvey.File], _ warnings: [String],
        at now: Int64
    ) {
        self.source = source
        self.material = material
        self.files = files
        self.warnings = warnings
        expiries = material.pairExpiries
        loadedAt = now
    }

    func renewTicketKeys() { material.ticketKeys = TLSMaterial.makeTicketKeys() }

    func loaded(
        _ material: TLSMaterial, _ files: [CertificateSurvey.File], _ warnings: [String], at now: Int64
    ) {
        self.material = material
        self.files = files
        self.warnings = warnings
        expiries = material.pairExpiries
        problems = []
        loadedAt = now
        reloads += 1
    }

    /// The files hold what is in force.
    func confirmed(_ files: [CertificateSurvey.File], _ warnings: [String]) {
        self.files = files
        self.warnings = warnings
        problems = []
    }

    func failed(_ problems: [CertificateProblem], at now: Int64) {
        self.problems = problems
        failedAt = now
        failures += 1
        for reason in Set(problems.map(\.reason)) { failuresByReason[reason, default: 0] += 1 }
    }

    /// Why the certificates on disk are not those in force, and which of these end soon.
    package func remarks(_ now: Int64) -> [String] {
        problems.map { "certificates not reloaded: \($0.sentence)" }
            + expiries.filter { $0.isSoon(now) }.map { expiry in
                "\(expiry.what) expires at \(Timestamp.text(seconds: expiry.seconds)), in "
                    + TimeSpan.text(seconds: expiry.seconds - now)
            }
    }
}
