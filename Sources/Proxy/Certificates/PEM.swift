import COpenSSL

/// Certificates and keys out of PEM text (RFC 7468).
package enum PEM {
    /// All certificates, as DER, in the order they stand; nil when something that begins as one is damaged.
    package static func certificates(_ text: [UInt8]) -> [[UInt8]]? {
        guard let memory = MemoryReader(text) else { return nil }
        var found: [[UInt8]] = []
        ERR_clear_error()
        while let raw = memory.nextCertificate() {
            found.append(raw)
        }
        let isEnd = openssl_pem_is_end() == 1
        ERR_clear_error()
        return isEnd ? found : nil
    }

    /// A certificate in DER as text, its lines of 64 digits.
    package static func text(ofCertificate der: [UInt8]) -> [UInt8] {
        var digits: [UInt8] = []
        Base64.append(der, to: &digits)
        var text = Array("-----BEGIN CERTIFICATE-----\n".utf8)
        for start in stride(from: 0, to: digits.count, by: 64) {
            text += digits[start..<min(start + 64, digits.count)]
            text.append(0x0a)
        }
        return text + Array("-----END CERTIFICATE-----\n".utf8)
    }

    static func holdsKey(_ text: [UInt8]) -> Bool {
        String(decoding: text, as: UTF8.self).contains("PRIVATE KEY-----")
    }

    enum Key: ~Copyable {
        case key(PrivateKeyHandle)
        case absent
        case encrypted
        case damaged
    }

    /// The first private key: PKCS#8, PKCS#1 or SEC1.
    static func privateKey(_ text: [UInt8]) -> Key {
        guard holdsKey(text) else { return .absent }
        // PKCS#8 says it in the label, the older forms in a header line (RFC 1421).
        let words = String(decoding: text, as: UTF8.self)
        if words.contains("ENCRYPTED PRIVATE KEY-----") || words.contains("Proc-Type: 4,ENCRYPTED") {
            return .encrypted
        }
        guard let memory = MemoryReader(text) else { return .damaged }
        ERR_clear_error()
        guard let key = memory.firstKey() else {
            ERR_clear_error()
            return .damaged
        }
        return .key(key)
    }

    /// OpenSSL's reader over a copy of the bytes.
    @safe private struct MemoryReader: ~Copyable {
        private let bio: OpaquePointer

        init?(_ text: [UInt8]) {
            guard let bio = unsafe BIO_new(BIO_s_mem()) else { return nil }
            guard unsafe BIO_write(bio, text, CInt(clamping: text.count)) == CInt(clamping: text.count) else {
                unsafe BIO_free(bio)
                return nil
            }
            unsafe self.bio = bio
        }

        deinit { unsafe BIO_free(bio) }

        func nextCertificate() -> [UInt8]? {
            unsafe openssl_next_certificate(bio).map { unsafe CertificateHandle(owning: $0).der }
        }

        func firstKey() -> PrivateKeyHandle? {
            guard let raw = unsafe openssl_first_key(bio) else { return nil }
            return unsafe PrivateKeyHandle(owning: raw)
        }
    }
}
