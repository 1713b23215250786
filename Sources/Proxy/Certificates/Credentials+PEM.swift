import COpenSSL

/// Why a certificate and a key make no pair: a sentence.
package struct CredentialsError: Error, Equatable, CustomStringConvertible {
    package let description: String
}

extension Credentials {
    /// Reads a pair out of PEM text: the leaf first, its chain after it.
    package init(certificate: [UInt8], key: [UInt8]) throws(CredentialsError) {
        guard let chain = PEM.certificates(certificate), let first = chain.first,
            let leaf = CertificateHandle(der: first)
        else { throw CredentialsError(description: "the certificate is not PEM, or damaged") }
        switch PEM.privateKey(key) {
        case .key(let handle) where handle.matches(leaf):
            self.init(chain: chain, privateKey: handle.der, leaf: leaf.summary)
        case .key:
            ERR_clear_error()
            throw CredentialsError(description: "the private key does not belong to the certificate")
        case .absent: throw CredentialsError(description: "there is no private key")
        case .damaged: throw CredentialsError(description: "the private key is damaged or of an unknown kind")
        case .encrypted: throw CredentialsError(description: "the private key is encrypted")
        }
    }

    /// Whether an authority, as DER, has issued the leaf.
    package func isIssued(by authority: [UInt8]) -> Bool {
        guard let first = chain.first, let leaf = CertificateHandle(der: first),
            let issuer = CertificateHandle(der: authority)
        else { return false }
        let isIssued = leaf.isIssued(by: issuer)
        ERR_clear_error()
        return isIssued
    }

    package func mayServe(as purpose: PairPurpose) -> Bool {
        guard let first = chain.first, let leaf = CertificateHandle(der: first) else { return false }
        return leaf.mayServe(as: purpose.number)
    }
}

extension CertificateSummary {
    /// What a certificate in DER says; nil for anything else.
    package init?(der: [UInt8]) {
        guard let certificate = CertificateHandle(der: der) else { return nil }
        self = certificate.summary
    }
}
