import COpenSSL

/// Certificates and keys out of PEM text (RFC 7468).
package enum PEM {
    /// Why a text gives no certificates.
    enum Fault: Error, Equatable {
        /// Not one byte.
        case empty
        /// Nothing in it begins as a certificate does.
        case noCertificate
        /// Cut off, or no base64 of a certificate; counted from one.
        case damaged(number: Int)

        /// - Parameter file: as messages name it.
        func sentence(about file: String) -> String {
            switch self {
            case .empty: "\(file) is empty"
            case .noCertificate: "\(file) holds no PEM certificate"
            case .damaged(let number): "certificate \(number) of \(file) is damaged or cut off"
            }
        }
    }

    /// All certificates, as DER, in the order they stand; nil when there is none or one is damaged.
    package static func certificates(_ text: [UInt8]) -> [[UInt8]]? {
        do throws(Fault) {
            return try readCertificates(text)
        } catch {
            return nil
        }
    }

    /// All certificates, as DER, in the order they stand: one at least, and each of them whole.
    static func readCertificates(_ text: [UInt8]) throws(Fault) -> [[UInt8]] {
        guard !text.isEmpty else { throw .empty }
        guard let memory = MemoryReader(text) else { throw .noCertificate }
        var found: [[UInt8]] = []
        ERR_clear_error()
        while let raw = memory.nextCertificate() {
            found.append(raw)
        }
        let isEnd = openssl_pem_is_end() == 1
        ERR_clear_error()
        guard isEnd, !holdsUnfinishedBegin(text) else { throw .damaged(number: found.count + 1) }
        guard !found.isEmpty else { throw .noCertificate }
        return found
    }

    private static let begin = Array("-----BEGIN ".utf8)
    private static let dashes = Array("-----".utf8)

    /// Whether a line begins as an encapsulation boundary does and does not end as one (RFC 7468 section 3).
    ///
    /// OpenSSL takes such a line for a comment, and so a bundle for whole that was cut within it.
    private static func holdsUnfinishedBegin(_ text: [UInt8]) -> Bool {
        let lines = text.split(separator: 0x0a, omittingEmptySubsequences: false)
        for line in lines where line.starts(with: begin) {
            let end = line.lastIndex { $0 > 0x20 }.map { $0 + 1 } ?? line.startIndex
            if end - line.startIndex < begin.count + dashes.count || !line[..<end].suffix(5).elementsEqual(dashes) {
                return true
            }
        }
        // Cut so early that it could be anything else too: only the last line can be.
        return lines.last.map { !$0.isEmpty && begin.starts(with: $0) } ?? false
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
