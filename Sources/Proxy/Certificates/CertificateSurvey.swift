/// What the certificate directories hold, good or bad, and what is to be said of it.
package struct CertificateSurvey: Sendable {
    /// What a file of certificates is read for.
    package enum Role: String, Sendable {
        case server, client
        case trustForAll = "trust for clients and servers"
        case trustForClients = "trust for clients"
        case trustForServers = "trust for servers"
    }

    package struct File: Sendable {
        package let role: Role
        package let path: String
        /// The leaf first, where it is a pair's.
        package let certificates: [CertificateSummary]
    }

    /// What would be loaded; nil when anything is wrong.
    package fileprivate(set) var material: TLSMaterial?
    package var files: [File] = []
    /// A sentence each: these keep it from being loaded.
    package var problems: [String] = []
    /// A sentence each: these do not.
    package var warnings: [String] = []

    /// Reads the directories.
    ///
    /// - Parameter now: seconds since the epoch.
    package static func take(_ source: CertificateSource, now: Int64) -> CertificateSurvey {
        var loader = CertificateLoader(now: now)
        let material = loader.load(source)
        var survey = loader.survey
        if survey.problems.isEmpty { survey.material = material }
        return survey
    }
}

/// Everything that is wrong with the certificate directories, a sentence each.
package struct CertificateProblems: Error, Equatable {
    package let sentences: [String]
}

/// What a process starts with.
package struct LoadedCertificates {
    let source: CertificateSource
    package let material: TLSMaterial
    let warnings: [String]
    /// Of the files that it was loaded from, or of older ones.
    let fingerprint: Int

    package init(_ source: CertificateSource, now: Int64) throws(CertificateProblems) {
        self.source = source
        fingerprint = source.fingerprint()
        let survey = CertificateSurvey.take(source, now: now)
        guard let material = survey.material else { throw CertificateProblems(sentences: survey.problems) }
        self.material = material
        warnings = survey.warnings
    }
}
