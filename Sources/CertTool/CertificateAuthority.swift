import COpenSSL

/// Issues certificates. It holds its own key; it knows no file and no clock.
package struct CertificateAuthority: Sendable {
    /// The authority's own certificate and key.
    package let pair: CertificatePair

    /// Clocks differ: a certificate is valid from this long before it was issued, in seconds.
    package static let backdatingSeconds: Int64 = 300
    /// Beyond a working life, and before the year 9999 that no certificate outlives.
    package static let maximumLifetimeSeconds: Int64 = 100 * 365 * 86_400
    /// Ten years.
    package static let usualLifetimeSeconds: Int64 = 10 * 365 * 86_400

    /// Takes over an authority that was made before.
    package init(_ pair: CertificatePair) throws(IssuingError) {
        guard let certificate = IssuedCertificate(pem: pair.certificate) else {
            throw IssuingError(sentence: "the authority's certificate is not PEM, or damaged")
        }
        guard let key = SigningKey(pem: pair.key) else {
            throw IssuingError(sentence: "the authority's key is not PEM, damaged, or encrypted")
        }
        guard certificate.isAuthority else {
            throw IssuingError(sentence: "the authority's certificate is not one that may issue others (CA:TRUE)")
        }
        guard key.matches(certificate) else {
            throw IssuingError(sentence: "the authority's key does not belong to its certificate")
        }
        self.pair = pair
    }

    private init(made pair: CertificatePair) { self.pair = pair }

    /// Makes a new authority, which signs itself.
    ///
    /// - Parameter now: seconds since the epoch.
    package static func make(
        commonName: String, organization: String? = nil, lifetimeSeconds: Int64 = usualLifetimeSeconds,
        algorithm: KeyAlgorithm = .p256, now: Int64
    ) throws(IssuingError) -> CertificateAuthority {
        let template = CertificateTemplate(
            commonName: commonName, organization: organization, names: [], usage: .both,
            lifetimeSeconds: lifetimeSeconds)
        let key = try SigningKey(algorithm)
        let builder = try CertificateBuilder(template, key, now: now)
        // It issues leaves only: no authority below it.
        try builder.extend(NID_basic_constraints, "critical,CA:TRUE,pathlen:0")
        try builder.extend(NID_key_usage, "critical,keyCertSign,cRLSign")
        let certificate = try builder.signedByItself(key)
        return CertificateAuthority(made: CertificatePair(certificate: certificate, key: try key.pem()))
    }

    /// Issues a leaf with a key of its own.
    ///
    /// - Parameter now: seconds since the epoch.
    package func issue(
        _ template: CertificateTemplate, algorithm: KeyAlgorithm = .p256, now: Int64
    ) throws(IssuingError) -> CertificatePair {
        // Both were read when the authority was made.
        guard let own = IssuedCertificate(pem: pair.certificate), let ownKey = SigningKey(pem: pair.key) else {
            throw IssuingError(sentence: "the authority cannot be read again")
        }
        let key = try SigningKey(algorithm)
        let builder = try CertificateBuilder(template, key, now: now)
        try builder.extend(NID_basic_constraints, "critical,CA:FALSE")
        // RSA keys may also be asked to decrypt, by clients that know no better key exchange.
        try builder.extend(
            NID_key_usage,
            algorithm == .p256 ? "critical,digitalSignature" : "critical,digitalSignature,keyEncipherment")
        try builder.extend(NID_ext_key_usage, template.usage.openSSLText)
        try builder.addNames(template.names)
        let certificate = try builder.signed(by: own, ownKey)
        return CertificatePair(certificate: certificate, key: try key.pem())
    }
}

extension CertificateTemplate.Usage {
    fileprivate var openSSLText: StaticString {
        switch self {
        case .server: "serverAuth"
        case .client: "clientAuth"
        case .both: "serverAuth,clientAuth"
        }
    }
}
