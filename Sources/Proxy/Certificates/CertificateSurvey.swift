/// What the certificate directories hold, good or bad, and what is to be said of it.
package struct CertificateSurvey: Sendable {
    /// What a file of certificates is read for.
    package enum Role: String, Sendable {
        case server, client
        case trustForAll = "trust for clients and servers"
        case trustForClients = "trust for clients"
        case trustForServers = "trust for servers"

        /// The variable that names the directory.
        var variable: String {
            switch self {
            case .server, .trustForClients: "SERVER_CERT_DIR"
            case .client, .trustForServers: "CLIENT_CERT_DIR"
            case .trustForAll: "CA_DIR"
            }
        }

        var isTrust: Bool {
            switch self {
            case .server, .client: false
            case .trustForAll, .trustForClients, .trustForServers: true
            }
        }
    }

    package struct File: Sendable {
        package let role: Role
        let directory: String
        let name: String
        /// The leaf first, where it is a pair's.
        package let certificates: [CertificateSummary]

        package var path: String { "\(directory)/\(name)" }
    }

    /// What would be loaded; nil when anything is wrong.
    package fileprivate(set) var material: TLSMaterial?
    package var files: [File] = []
    /// These keep it from being loaded.
    package var problems: [CertificateProblem] = []
    /// A sentence each: these do not.
    package var warnings: [String] = []

    /// Reads the directories.
    ///
    /// - Parameter now: seconds since the epoch.
    /// - Parameter inForce: what was read before; whatever of it is needed and gone is a problem.
    package static func take(
        _ source: CertificateSource, now: Int64, inForce: [File] = []
    ) -> CertificateSurvey {
        var loader = CertificateLoader(now: now, inForce: inForce)
        let material = loader.load(source)
        var survey = loader.survey
        if survey.problems.isEmpty { survey.material = material }
        return survey
    }
}

/// What a process starts with.
package struct LoadedCertificates {
    let source: CertificateSource
    package let material: TLSMaterial
    /// What it was read from.
    let files: [CertificateSurvey.File]
    let warnings: [String]
    /// Of the files that it was loaded from, or of older ones.
    let fingerprint: Int

    package init(_ source: CertificateSource, now: Int64) throws(CertificateProblems) {
        self.source = source
        fingerprint = source.fingerprint()
        let survey = CertificateSurvey.take(source, now: now)
        guard let material = survey.material else { throw CertificateProblems(problems: survey.problems) }
        self.material = material
        files = survey.files
        warnings = survey.warnings
    }
}
