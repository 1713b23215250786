/// What kind of key is made.
package enum KeyAlgorithm: Sendable, Equatable {
    /// ECDSA on P-256: small and quick, and known to every TLS library in use.
    case p256
    case rsa(bits: Int)

    /// Shorter RSA keys are refused by TLS libraries, longer ones only cost time.
    package static let rsaBits = 2_048...8_192
}
