/// The certificates in force and how they got there, for the monitor port. It belongs to the control thread.
package final class MaterialStatus {
    let source: CertificateSource
    package private(set) var material: TLSMaterial
    /// How often other material was taken into force.
    private(set) var reloads: UInt64 = 0
    /// How often changed files could not be taken.
    private(set) var failures: UInt64 = 0
    /// Why the files, as they are now, cannot be loaded, a sentence each; empty when the material is that of the files.
    private(set) var problems: [String] = []
    /// What is legal and seldom meant in the material in force, a sentence each.
    private(set) var warnings: [String] = []
    /// Seconds since the epoch.
    private(set) var loadedAt: Int64
    private(set) var failedAt: Int64?

    init(_ source: CertificateSource, _ material: TLSMaterial, _ warnings: [String] = [], at now: Int64) {
        self.source = source
        self.material = material
        self.warnings = warnings
        loadedAt = now
    }

    func renewTicketKeys() { material.ticketKeys = TLSMaterial.makeTicketKeys() }

    func loaded(_ material: TLSMaterial, _ warnings: [String], at now: Int64) {
        self.material = material
        self.warnings = warnings
        problems = []
        loadedAt = now
        reloads += 1
    }

    /// The files hold what is in force.
    func confirmed(_ warnings: [String]) {
        self.warnings = warnings
        problems = []
    }

    func failed(_ problems: [String], at now: Int64) {
        self.problems = problems
        failedAt = now
        failures += 1
    }

    // MARK: what is to be shown

    /// A certificate in force, and what for.
    struct InForce {
        enum Role: String { case server, client }

        let role: Role
        let certificate: CertificateSummary
    }

    var pairs: [InForce] {
        var pairs: [InForce] = []
        if let server = material.server { pairs.append(InForce(role: .server, certificate: server.leaf)) }
        if let client = material.client { pairs.append(InForce(role: .client, certificate: client.leaf)) }
        return pairs
    }

    /// Why the certificates on disk are not those in force, and which of these end soon.
    package func remarks(_ now: Int64) -> [String] {
        problems.map { "certificates not reloaded: \($0)" }
            + pairs.compactMap { pair in
                let certificate = pair.certificate
                guard certificate.notAfter >= now, certificate.expiresSoon(now) else { return nil }
                return "the \(pair.role) certificate expires at \(Timestamp.text(seconds: certificate.notAfter)), in "
                    + TimeSpan.text(seconds: certificate.notAfter - now)
            }
    }
}
