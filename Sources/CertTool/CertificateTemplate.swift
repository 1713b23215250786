/// What a certificate is to say.
package struct CertificateTemplate: Sendable, Equatable {
    /// What its holder may do in TLS (RFC 5280 section 4.2.1.12).
    package enum Usage: Sendable, Equatable { case server, client, both }

    package var commonName: String
    package var organization: String?
    package var names: [AlternativeName]
    package var usage: Usage
    package var lifetimeSeconds: Int64

    /// RFC 5280 appendix A.1.
    package static let maximumNameCharacters = 64
    /// A year, which is what people expect of a certificate that nobody renews by itself.
    package static let usualLifetimeSeconds: Int64 = 365 * 86_400

    package init(
        commonName: String, organization: String? = nil, names: [AlternativeName], usage: Usage,
        lifetimeSeconds: Int64 = CertificateTemplate.usualLifetimeSeconds
    ) {
        self.commonName = commonName
        self.organization = organization
        self.names = names
        self.usage = usage
        self.lifetimeSeconds = lifetimeSeconds
    }

    /// Why no certificate can say this: a sentence.
    var problem: String? {
        for text in [commonName, organization ?? commonName] {
            guard (1...CertificateTemplate.maximumNameCharacters).contains(text.unicodeScalars.count),
                text.unicodeScalars.allSatisfy({ $0.value >= 0x20 && $0.value != 0x7f })
            else {
                return
                    "\"\(text)\" cannot stand in a subject: it has 1 to \(CertificateTemplate.maximumNameCharacters) "
                    + "characters, none of them a control character"
            }
        }
        if let problem = names.lazy.compactMap(\.problem).first { return problem }
        guard (1...CertificateAuthority.maximumLifetimeSeconds).contains(lifetimeSeconds) else {
            return "a certificate is valid for 1 second to \(CertificateAuthority.maximumLifetimeSeconds / 86_400) days"
        }
        return nil
    }
}

/// Why no certificate was issued, or why an authority cannot be used: a sentence.
package struct IssuingError: Error, Equatable, CustomStringConvertible {
    package let sentence: String

    package init(sentence: String) { self.sentence = sentence }

    package var description: String { sentence }
}
