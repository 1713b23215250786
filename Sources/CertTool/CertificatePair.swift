/// A certificate with its private key, as PEM text.
package struct CertificatePair: Sendable, Equatable {
    package let certificate: [UInt8]
    /// PKCS#8, not encrypted.
    package let key: [UInt8]

    package init(certificate: [UInt8], key: [UInt8]) {
        self.certificate = certificate
        self.key = key
    }
}
