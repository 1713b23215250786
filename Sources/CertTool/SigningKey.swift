import COpenSSL

/// Owns one private key.
@safe struct SigningKey: ~Copyable {
    let raw: OpaquePointer

    /// Makes a new one.
    init(_ algorithm: KeyAlgorithm) throws(IssuingError) {
        let made: OpaquePointer?
        switch algorithm {
        case .p256: unsafe made = openssl_make_p256_key()
        case .rsa(let bits):
            guard KeyAlgorithm.rsaBits.contains(bits) else {
                let (least, most) = (KeyAlgorithm.rsaBits.lowerBound, KeyAlgorithm.rsaBits.upperBound)
                throw IssuingError(sentence: "an RSA key has \(least) to \(most) bits, not \(bits)")
            }
            unsafe made = openssl_make_rsa_key(CInt(bits))
        }
        guard let made = unsafe made else { throw .ofOpenSSL("a key cannot be made") }
        unsafe raw = made
    }

    /// The first key of a PEM text; nil when there is none, or an encrypted one.
    init?(pem: [UInt8]) {
        guard let key = unsafe PEMText.read(pem, { bio in unsafe openssl_first_key(bio) }) else { return nil }
        unsafe raw = key
    }

    deinit { unsafe EVP_PKEY_free(raw) }

    func matches(_ certificate: borrowing IssuedCertificate) -> Bool {
        let isMatch = unsafe X509_check_private_key(certificate.raw, raw) == 1
        ERR_clear_error()
        return isMatch
    }

    func pem() throws(IssuingError) -> [UInt8] {
        let raw = unsafe raw
        return try unsafe PEMText.write { pem in unsafe openssl_write_key(pem, raw) }
    }
}

/// Owns one certificate that was issued.
@safe struct IssuedCertificate: ~Copyable {
    let raw: OpaquePointer

    /// The first certificate of a PEM text; nil when there is none.
    init?(pem: [UInt8]) {
        guard let certificate = unsafe PEMText.read(pem, { bio in unsafe openssl_next_certificate(bio) }) else {
            return nil
        }
        unsafe raw = certificate
    }

    deinit { unsafe X509_free(raw) }

    /// It may issue others (RFC 5280 section 4.2.1.9).
    var isAuthority: Bool { unsafe X509_check_ca(raw) == 1 }
}
