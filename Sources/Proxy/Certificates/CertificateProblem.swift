/// One thing that keeps certificate directories from being loaded: for counting, and for people.
package struct CertificateProblem: Sendable, Equatable {
    /// A label of a metric.
    package enum Reason: String, CaseIterable, Sendable {
        /// No pair or no trust anchor, or one that was in force is gone.
        case missing
        case unreadable
        case empty
        /// No certificate, or no private key, is in it.
        case notPEM = "not_pem"
        case damaged
        case encryptedKey = "encrypted_key"
        case wrongKey = "wrong_key"
        case expired
        case notYetValid = "not_yet_valid"
        /// The extended key usage forbids it.
        case wrongUsage = "wrong_usage"
        /// Certificates that did not issue each other.
        case chain
        /// The TLS library refuses it, such as a key that is too short.
        case unusable
    }

    package let reason: Reason
    package let sentence: String

    init(_ reason: Reason, _ sentence: String) {
        self.reason = reason
        self.sentence = sentence
    }

    init(_ fault: PEM.Fault, of file: String) {
        let reason: Reason =
            switch fault {
            case .empty: .empty
            case .noCertificate: .notPEM
            case .damaged: .damaged
            }
        self.init(reason, fault.sentence(about: file))
    }
}

/// Everything that is wrong with the certificate directories.
package struct CertificateProblems: Error, Equatable {
    package let problems: [CertificateProblem]

    package var sentences: [String] { problems.map(\.sentence) }
}
