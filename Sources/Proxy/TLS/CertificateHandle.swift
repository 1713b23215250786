import Addressing
import COpenSSL

/// Owns one parsed certificate.
@safe struct CertificateHandle: ~Copyable {
    let raw: OpaquePointer

    init(owning raw: OpaquePointer) { unsafe self.raw = raw }

    /// Parses DER; nil for anything else.
    init?(der: [UInt8]) {
        let parsed = unsafe der.withUnsafeBufferPointer { bytes -> OpaquePointer? in
            var cursor = bytes.baseAddress
            return unsafe d2i_X509(nil, &cursor, bytes.count)
        }
        guard let parsed = unsafe parsed else { return nil }
        unsafe raw = parsed
    }

    deinit { unsafe X509_free(raw) }

    var der: [UInt8] {
        let count = unsafe i2d_X509(raw, nil)
        guard count > 0 else { return [] }
        var bytes = [UInt8](repeating: 0, count: Int(count))
        unsafe bytes.withUnsafeMutableBufferPointer { buffer in
            var cursor = buffer.baseAddress
            _ = unsafe i2d_X509(raw, &cursor)
        }
        return bytes
    }

    func isIssued(by issuer: borrowing CertificateHandle) -> Bool {
        unsafe openssl_is_issued_by(raw, issuer.raw) == 1
    }

    /// It may issue certificates (RFC 5280 section 4.2.1.9); the oldest have no field to say so.
    var isAuthority: Bool { unsafe X509_check_ca(raw) != 0 }

    func mayServe(as purpose: CInt) -> Bool { unsafe openssl_has_purpose(raw, purpose) == 1 }

    var summary: CertificateSummary {
        var summary = CertificateSummary()
        summary.subject = unsafe text { unsafe openssl_subject(raw, $0, $1) } ?? ""
        summary.issuer = unsafe text { unsafe openssl_issuer(raw, $0, $1) } ?? ""
        summary.commonName = unsafe text { unsafe openssl_common_name(raw, $0, $1) }
        summary.serial = CertificateHandle.hexNumber(unsafe text { unsafe openssl_serial_hex(raw, $0, $1) } ?? "0")
        summary.notBefore = unsafe openssl_validity(raw, 0)
        summary.notAfter = unsafe openssl_validity(raw, 1)
        var digest = [UInt8](repeating: 0, count: 32)
        if unsafe openssl_sha256(raw, &digest) == 32 { summary.sha256 = digest }
        readNames(into: &summary)
        return summary
    }

    /// OpenSSL writes whole bytes in upper case; everyone else writes `0x1f`.
    private static func hexNumber(_ text: String) -> String {
        let digits = text.lowercased().drop { $0 == "-" }.drop { $0 == "0" }
        return (text.hasPrefix("-") ? "-0x" : "0x") + (digits.isEmpty ? "0" : digits)
    }

    /// Longest subject, issuer or name that is read.
    private static let maximumNameBytes = 4_096

    private func text(_ fill: (UnsafeMutablePointer<CChar>, Int) -> CInt) -> String? {
        let capacity = CertificateHandle.maximumNameBytes
        var buffer = [CChar](repeating: 0, count: capacity)
        let count = unsafe buffer.withUnsafeMutableBufferPointer { bytes -> CInt in
            guard let base = bytes.baseAddress else { return -1 }
            return unsafe fill(base, capacity)
        }
        guard count >= 0 else { return nil }
        return String(decoding: buffer.prefix(Int(count)).map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    private func readNames(into summary: inout CertificateSummary) {
        guard let names = unsafe openssl_sans(raw) else { return }
        defer { unsafe GENERAL_NAMES_free(names) }
        for index in 0..<(unsafe openssl_san_count(names)) {
            var (type, count): (CInt, CInt) = (0, 0)
            guard let start = unsafe openssl_san(names, index, &type, &count),
                count <= CertificateHandle.maximumNameBytes
            else { continue }
            let value = unsafe UnsafeBufferPointer(start: start, count: Int(count))
            switch type {
            case GEN_DNS: unsafe summary.dnsNames.append(String(decoding: value, as: UTF8.self))
            case GEN_URI: unsafe summary.uriNames.append(String(decoding: value, as: UTF8.self))
            case GEN_IPADD where count == 4:
                unsafe summary.addresses.append(IPAddress(v4: value.reduce(0) { $0 << 8 | UInt32($1) }))
            case GEN_IPADD where count == 16:
                unsafe summary.addresses.append(IPAddress(v6: value.reduce(0) { $0 << 8 | UInt128($1) }))
            case _: break
            }
        }
    }
}

/// Owns one private key.
@safe struct PrivateKeyHandle: ~Copyable {
    let raw: OpaquePointer

    init(owning raw: OpaquePointer) { unsafe self.raw = raw }

    init?(der: [UInt8]) {
        let parsed = unsafe der.withUnsafeBufferPointer { bytes -> OpaquePointer? in
            var cursor = bytes.baseAddress
            return unsafe d2i_AutoPrivateKey(nil, &cursor, bytes.count)
        }
        guard let parsed = unsafe parsed else { return nil }
        unsafe raw = parsed
    }

    deinit { unsafe EVP_PKEY_free(raw) }

    var der: [UInt8] {
        let count = unsafe i2d_PrivateKey(raw, nil)
        guard count > 0 else { return [] }
        var bytes = [UInt8](repeating: 0, count: Int(count))
        unsafe bytes.withUnsafeMutableBufferPointer { buffer in
            var cursor = buffer.baseAddress
            _ = unsafe i2d_PrivateKey(raw, &cursor)
        }
        return bytes
    }

    func matches(_ certificate: borrowing CertificateHandle) -> Bool {
        unsafe X509_check_private_key(certificate.raw, raw) == 1
    }
}
