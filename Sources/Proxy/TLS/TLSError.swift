import COpenSSL
import Glibc

/// Why a handshake or a TLS connection failed: a reason for counting, a sentence for the log.
struct TLSError: Error {
    /// Bounded: these become metric labels.
    enum Reason: String {
        case noCertificate = "no_certificate"
        case unknownAuthority = "unknown_ca"
        case expired
        case notYetValid = "not_yet_valid"
        case wrongPurpose = "wrong_purpose"
        case badCertificate = "bad_certificate"
        case nameMismatch = "name_mismatch"
        case noSharedVersion = "no_shared_version"
        case noSharedCipher = "no_shared_cipher"
        case notTLS = "not_tls"
        case peerAlert = "peer_alert"
        case truncated
        case reset
        case protocolViolation = "protocol"
        case internalError = "internal"
    }

    let reason: Reason
    /// What was wrong, in words.
    let detail: String

    init(_ reason: Reason, _ detail: String) {
        self.reason = reason
        self.detail = detail
    }

    /// Reads OpenSSL's error queue, and the certificate check's finding where there is one.
    static func taken() -> TLSError {
        let code = ERR_peek_error()
        ERR_clear_error()
        var text = [CChar](repeating: 0, count: 256)
        let finding = unsafe openssl_verify_failure(&text, text.count)
        let subject = String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
        guard finding == X509_V_OK else { return verification(finding, subject) }
        let words = unsafe ERR_reason_error_string(code).map { unsafe String(cString: $0) } ?? "error \(code)"
        guard openssl_library(code) == ERR_LIB_SSL else { return TLSError(.internalError, words) }
        let number = openssl_reason(code)
        // OpenSSL numbers alerts it received from 1000 on (SSL_AD_REASON_OFFSET).
        if number >= 1000 { return TLSError(.peerAlert, "the peer refused: \(words)") }
        switch number {
        case SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE:
            return TLSError(.noCertificate, "the peer sent no certificate")
        case SSL_R_UNEXPECTED_EOF_WHILE_READING:
            return TLSError(.truncated, "the peer closed the connection without close_notify")
        case SSL_R_UNSUPPORTED_PROTOCOL, SSL_R_VERSION_TOO_LOW, SSL_R_NO_PROTOCOLS_AVAILABLE:
            return TLSError(.noSharedVersion, "no TLS version in common: \(words)")
        case SSL_R_NO_SHARED_CIPHER: return TLSError(.noSharedCipher, "no cipher in common")
        case SSL_R_HTTP_REQUEST, SSL_R_HTTPS_PROXY_REQUEST:
            return TLSError(.notTLS, "the peer spoke plain HTTP on a TLS port")
        case SSL_R_WRONG_VERSION_NUMBER, SSL_R_PACKET_LENGTH_TOO_LONG:
            return TLSError(.notTLS, "the peer did not speak TLS: \(words)")
        case _: return TLSError(.protocolViolation, words)
        }
    }

    static func system(_ number: CInt) -> TLSError {
        number == 0
            ? TLSError(.truncated, "the peer closed the connection")
            : TLSError(.reset, SystemError.text(number))
    }

    private static func verification(_ finding: CInt, _ subject: String) -> TLSError {
        let words = unsafe X509_verify_cert_error_string(Int(finding)).map { unsafe String(cString: $0) } ?? "?"
        let reason: Reason =
            switch finding {
            case X509_V_ERR_CERT_HAS_EXPIRED: .expired
            case X509_V_ERR_CERT_NOT_YET_VALID: .notYetValid
            case X509_V_ERR_INVALID_PURPOSE: .wrongPurpose
            case X509_V_ERR_HOSTNAME_MISMATCH, X509_V_ERR_IP_ADDRESS_MISMATCH: .nameMismatch
            case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT, X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY,
                X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT, X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN,
                X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE, X509_V_ERR_CERT_UNTRUSTED:
                .unknownAuthority
            case _: .badCertificate
            }
        return TLSError(reason, "the peer's certificate (\(subject)) is not accepted: \(words)")
    }
}
