import Addressing
import COpenSSL

/// A certificate in the making, over OpenSSL.
@safe final class CertificateBuilder {
    private let raw: OpaquePointer

    /// Begins with what every certificate says.
    init(_ template: CertificateTemplate, _ key: borrowing SigningKey, now: Int64) throws(IssuingError) {
        if let problem = template.problem { throw IssuingError(sentence: problem) }
        let start = now - CertificateAuthority.backdatingSeconds
        guard let raw = unsafe openssl_begin_certificate(key.raw, start, now + template.lifetimeSeconds) else {
            throw .ofOpenSSL("a certificate cannot be begun")
        }
        unsafe self.raw = raw
        if let organization = template.organization { try name("O", organization) }
        try name("CN", template.commonName)
        try extend(NID_subject_key_identifier, "hash")
    }

    deinit { unsafe X509_free(raw) }

    private func name(_ field: String, _ text: String) throws(IssuingError) {
        try check(unsafe openssl_add_to_subject(raw, field, text), "the subject cannot hold \"\(text)\"")
    }

    /// - Parameter value: of this program only; in the notation of x509v3_config(5).
    func extend(_ kind: CInt, _ value: StaticString) throws(IssuingError) { try unsafe extend(kind, value, by: raw) }

    private func extend(_ kind: CInt, _ value: StaticString, by issuer: OpaquePointer) throws(IssuingError) {
        try check(unsafe openssl_add_extension(raw, issuer, kind, "\(value)"), "the extension \(value) cannot be added")
    }

    func addNames(_ names: [AlternativeName]) throws(IssuingError) {
        guard !names.isEmpty else { return }
        guard let list = unsafe OPENSSL_sk_new_null() else { throw IssuingError(sentence: "no memory for names") }
        defer { unsafe GENERAL_NAMES_free(list) }
        for name in names {
            let (type, bytes): (CInt, [UInt8]) =
                switch name {
                case .dns(let text): (GEN_DNS, Array(text.utf8))
                case .uri(let text): (GEN_URI, Array(text.utf8))
                case .address(let address): (GEN_IPADD, address.bytes)
                }
            try check(unsafe openssl_append_name(list, type, bytes, bytes.count), "the name \(name) cannot be added")
        }
        try check(unsafe openssl_set_sans(raw, list, 0), "the names cannot be added")
    }

    /// The finished certificate as PEM.
    func signed(by issuer: borrowing IssuedCertificate, _ key: borrowing SigningKey) throws(IssuingError) -> [UInt8] {
        try unsafe sign(issuer.raw, key)
    }

    func signedByItself(_ key: borrowing SigningKey) throws(IssuingError) -> [UInt8] { try unsafe sign(raw, key) }

    private func sign(_ issuer: OpaquePointer, _ key: borrowing SigningKey) throws(IssuingError) -> [UInt8] {
        try check(unsafe openssl_set_issuer(raw, issuer), "the issuer cannot be named")
        try unsafe extend(NID_authority_key_identifier, "keyid:always", by: issuer)
        try check(unsafe openssl_sign(raw, key.raw), "the certificate cannot be signed")
        return try unsafe PEMText.write { pem in unsafe openssl_write_certificate(pem, raw) }
    }

    private func check(_ result: CInt, _ failure: String) throws(IssuingError) {
        guard result == 1 else { throw .ofOpenSSL(failure) }
    }
}

extension IssuingError {
    /// With the library's own reason.
    static func ofOpenSSL(_ sentence: String) -> IssuingError {
        let code = ERR_peek_last_error()
        ERR_clear_error()
        let reason = unsafe ERR_reason_error_string(code).map { unsafe String(cString: $0) }
        return IssuingError(sentence: sentence + (reason.map { ": \($0)" } ?? ""))
    }
}
