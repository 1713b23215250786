import COpenSSL
import Glibc

/// Why a handshake or a TLS connection failed: a reason for counting, a sentence for the log.
struct TLSError: Error {
    /// Bounded: these become metric labels.
    enum Reason: String, CaseIterable, Sendable {
        case noCertificate = "no_certificate"
        case unknownAuthority = "unknown_ca"
        case expired
        case notYetValid = "not_yet_valid"
        case wrongPurpose = "wrong_purpose"
        case badSignature = "bad_signature"
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
        /// Not TLS's own word: the handshake took too long, or the connection broke under it.
        case timeout, connection

        /// Its place among all reasons, for a table of counts.
        var index: Int { Reason.allCases.firstIndex(of: self) ?? 0 }
    }

    /// What a certificate said that was not accepted.
    struct Certificate: Sendable {
        /// Of the peer's own certificate.
        let subject: String
        /// Of the certificate at fault: the peer's own, or one above it.
        let culprit: String
        let issuer: String
        /// Seconds since the epoch.
        let notBefore: Int64
        let notAfter: Int64
    }

    let reason: Reason
    /// What was wrong, in words.
    let detail: String
    private(set) var certificate: Certificate?

    init(_ reason: Reason, _ detail: String, _ certificate: Certificate? = nil) {
        self.reason = reason
        self.detail = detail
        self.certificate = certificate
    }

    /// Reads OpenSSL's error queue, and the certificate check's finding where there is one.
    static func taken() -> TLSError {
        let code = ERR_peek_error()
        ERR_clear_error()
        let finding = unsafe openssl_verify_failure()
        if unsafe finding.code != X509_V_OK {
            defer { openssl_forget_verify_failure() }
            var error = unsafe verification(finding)
            error.certificate = unsafe Certificate(
                subject: String(cString: finding.leaf_subject), culprit: String(cString: finding.subject),
                issuer: String(cString: finding.issuer), notBefore: finding.not_before, notAfter: finding.not_after)
            return error
        }
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
        case SSL_R_NO_SHARED_CIPHER, SSL_R_NO_SUITABLE_KEY_SHARE, SSL_R_NO_SUITABLE_GROUPS, SSL_R_NO_SHARED_GROUPS,
            SSL_R_NO_SUITABLE_SIGNATURE_ALGORITHM, SSL_R_NO_SHARED_SIGNATURE_ALGORITHMS:
            return TLSError(.noSharedCipher, "no cipher, group or signature algorithm in common: \(words)")
        case SSL_R_BAD_SIGNATURE:
            return TLSError(.badSignature, "the peer does not hold the private key of its certificate")
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

    private static func verification(_ finding: OpenSSLVerifyFailure) -> TLSError {
        let words =
            unsafe X509_verify_cert_error_string(Int(finding.code)).map { unsafe String(cString: $0) } ?? "error"
        let leaf = unsafe String(cString: finding.leaf_subject)
        let culprit = unsafe String(cString: finding.subject)
        let issuer = unsafe String(cString: finding.issuer)
        let isLeaf = unsafe finding.depth == 0
        let who =
            isLeaf ? "the peer's certificate (\(leaf))" : "\(culprit), an issuer of the peer's certificate (\(leaf)),"
        switch unsafe finding.code {
        case X509_V_ERR_CERT_HAS_EXPIRED:
            return TLSError(.expired, "\(who) expired at \(Timestamp.text(seconds: unsafe finding.not_after))")
        case X509_V_ERR_CERT_NOT_YET_VALID:
            let start = Timestamp.text(seconds: unsafe finding.not_before)
            return TLSError(.notYetValid, "\(who) is not valid before \(start): is a clock wrong?")
        case X509_V_ERR_INVALID_PURPOSE:
            return TLSError(.wrongPurpose, "\(who) is not for this side of TLS (extended key usage): \(words)")
        case X509_V_ERR_HOSTNAME_MISMATCH, X509_V_ERR_IP_ADDRESS_MISMATCH:
            return TLSError(.nameMismatch, "\(who) is not for this server: \(words)")
        case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT, X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY,
            X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT, X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN,
            X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE, X509_V_ERR_CERT_UNTRUSTED:
            return TLSError(
                .unknownAuthority,
                "\(who) was issued by \(issuer), which is not trusted here, or a certificate between them was not sent: "
                    + words)
        // The usual cause is an authority that was made anew under its old name.
        case X509_V_ERR_CERT_SIGNATURE_FAILURE:
            return TLSError(
                .unknownAuthority, "\(who) was issued under the name \(issuer), but not with the trusted key: \(words)")
        case _: return TLSError(.badCertificate, "\(who) is not accepted: \(words)")
        }
    }
}
