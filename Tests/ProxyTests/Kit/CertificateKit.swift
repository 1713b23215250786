import Addressing
import COpenSSL

@testable import Proxy

/// A certificate and its key, made for a test.
struct IssuedPair: Sendable {
    let certificate: [UInt8]
    let key: [UInt8]

    /// As the proxy holds a pair, with the issuers to send along.
    func credentials(chain issuers: [IssuedPair] = []) -> Credentials {
        Credentials(
            chain: [certificate] + issuers.map(\.certificate), privateKey: key,
            leaf: CertificateHandle(der: certificate)?.summary ?? CertificateSummary())
    }

    var certificatePEM: String { PEMText.block("CERTIFICATE", certificate) }

    enum KeyForm: CaseIterable { case traditional, pkcs8, encryptedPKCS8, encryptedTraditional }

    func keyPEM(_ form: KeyForm = .pkcs8) -> String {
        guard let key = PrivateKeyHandle(der: key), let memory = unsafe BIO_new(BIO_s_mem()) else { return "" }
        defer { unsafe BIO_free(memory) }
        let pass = Array("secret".utf8)
        let cipher = unsafe EVP_aes_128_cbc()
        let count = CInt(pass.count)
        switch form {
        case .traditional: unsafe PEM_write_bio_PrivateKey_traditional(memory, key.raw, nil, nil, 0, nil, nil)
        case .pkcs8: unsafe PEM_write_bio_PKCS8PrivateKey(memory, key.raw, nil, nil, 0, nil, nil)
        case .encryptedPKCS8:
            unsafe pass.withUnsafeBytes { bytes in
                _ = unsafe PEM_write_bio_PKCS8PrivateKey(
                    memory, key.raw, cipher, bytes.bindMemory(to: CChar.self).baseAddress, count, nil, nil)
            }
        case .encryptedTraditional:
            unsafe PEM_write_bio_PrivateKey_traditional(memory, key.raw, cipher, pass, count, nil, nil)
        }
        var text = [UInt8](repeating: 0, count: 16_384)
        let length = unsafe BIO_read(memory, &text, CInt(text.count))
        return String(decoding: text.prefix(Int(max(0, length))), as: UTF8.self)
    }
}

/// What a test's certificate says. The defaults are those of a good leaf.
struct CertificateRequest {
    enum KeyKind: String {
        case p256 = "P-256", p384 = "P-384", ed25519 = "ED25519", rsa2048 = "2048", rsa1024 = "1024"
    }
    enum Usage { case server, client, codeSigning }

    /// Attribute and value, in the order they are encoded.
    var subject: [(String, String)]
    var dnsNames: [String] = []
    var uriNames: [String] = []
    var addresses: [IPAddress] = []
    var usages: [Usage] = [.server, .client]
    var isAuthority = false
    /// Seconds from now.
    var start: Int = -3_600
    var end: Int = 86_400
    var serial: UInt64 = 0x1f
    var key = KeyKind.p256

    init(_ commonName: String) { subject = [("CN", commonName)] }
}

/// Issues certificates in milliseconds.
struct Authority: Sendable {
    let pair: IssuedPair

    init(_ name: String = "Test CA", _ change: (inout CertificateRequest) -> Void = { _ in }) {
        var request = CertificateRequest(name)
        request.isAuthority = true
        request.usages = []
        change(&request)
        pair = Mint.issue(request, by: nil)
    }

    init(pair: IssuedPair) { self.pair = pair }

    /// The same name and key under another certificate.
    func renewed(_ change: (inout CertificateRequest) -> Void) -> Authority {
        var request = CertificateRequest("")
        request.subject = [("CN", CertificateHandle(der: pair.certificate)?.summary.commonName ?? "")]
        request.isAuthority = true
        request.usages = []
        change(&request)
        return Authority(pair: Mint.issue(request, by: nil, key: PrivateKeyHandle(der: pair.key)))
    }

    func issue(_ commonName: String, _ change: (inout CertificateRequest) -> Void = { _ in }) -> IssuedPair {
        var request = CertificateRequest(commonName)
        change(&request)
        return Mint.issue(request, by: pair)
    }

    func intermediate(_ name: String) -> Authority {
        Authority(
            pair: issue(name) {
                $0.isAuthority = true
                $0.usages = []
            })
    }
}

enum PEMText {
    static func block(_ label: String, _ der: [UInt8]) -> String {
        var base64: [UInt8] = []
        Base64.append(der, to: &base64)
        let lines = stride(from: 0, to: base64.count, by: 64).map {
            String(decoding: base64[$0..<min($0 + 64, base64.count)], as: UTF8.self)
        }
        return "-----BEGIN \(label)-----\n\(lines.joined(separator: "\n"))\n-----END \(label)-----\n"
    }
}

private enum Mint {
    static func issue(
        _ request: CertificateRequest, by issuer: IssuedPair?, key given: consuming PrivateKeyHandle? = nil
    ) -> IssuedPair {
        guard let key = given ?? makeKey(request.key), let raw = unsafe X509_new() else {
            preconditionFailure("no key")
        }
        let certificate = unsafe CertificateHandle(owning: raw)
        unsafe X509_set_version(raw, 2)
        unsafe ASN1_INTEGER_set_uint64(X509_get_serialNumber(raw), request.serial)
        unsafe X509_gmtime_adj(X509_getm_notBefore(raw), request.start)
        unsafe X509_gmtime_adj(X509_getm_notAfter(raw), request.end)
        let name = unsafe X509_get_subject_name(raw)
        for (attribute, value) in request.subject {
            let bytes = Array(value.utf8)
            unsafe X509_NAME_add_entry_by_txt(name, attribute, MBSTRING_UTF8, bytes, CInt(bytes.count), -1, 0)
        }
        unsafe X509_set_pubkey(raw, key.raw)
        for (number, isCritical, value) in extensions(request) { add(number, isCritical, value, to: certificate) }
        if let issuer, let parent = CertificateHandle(der: issuer.certificate),
            let parentKey = PrivateKeyHandle(der: issuer.key)
        {
            unsafe X509_set_issuer_name(raw, X509_get_subject_name(parent.raw))
            precondition(unsafe X509_sign(raw, parentKey.raw, digest(parentKey)) > 0)
        } else {
            unsafe X509_set_issuer_name(raw, name)
            precondition(unsafe X509_sign(raw, key.raw, digest(key)) > 0)
        }
        return IssuedPair(certificate: certificate.der, key: key.der)
    }

    /// Ed25519 brings its own digest.
    private static func digest(_ key: borrowing PrivateKeyHandle) -> OpaquePointer? {
        unsafe EVP_PKEY_get_id(key.raw) == EVP_PKEY_ED25519 ? nil : EVP_sha256()
    }

    private static func makeKey(_ kind: CertificateRequest.KeyKind) -> PrivateKeyHandle? {
        let type =
            switch kind {
            case .p256, .p384: "EC"
            case .ed25519: "ED25519"
            case .rsa2048, .rsa1024: "RSA"
            }
        guard let context = unsafe EVP_PKEY_CTX_new_from_name(nil, type, nil) else { return nil }
        defer { unsafe EVP_PKEY_CTX_free(context) }
        unsafe EVP_PKEY_keygen_init(context)
        switch kind {
        case .p256, .p384: unsafe EVP_PKEY_CTX_set_group_name(context, kind.rawValue)
        case .ed25519: break
        case .rsa2048, .rsa1024: unsafe EVP_PKEY_CTX_set_rsa_keygen_bits(context, CInt(kind.rawValue) ?? 2_048)
        }
        var raw: OpaquePointer?
        guard unsafe EVP_PKEY_generate(context, &raw) == 1, let raw = unsafe raw else { return nil }
        return unsafe PrivateKeyHandle(owning: raw)
    }

    private static func extensions(_ request: CertificateRequest) -> [(CInt, Bool, [UInt8])] {
        var list: [(CInt, Bool, [UInt8])] = []
        if request.isAuthority {
            list.append((NID_basic_constraints, true, DER.sequence(DER.value(0x01, [0xff]))))
            // keyCertSign and cRLSign.
            list.append((NID_key_usage, true, [0x03, 0x02, 0x01, 0x06]))
        }
        let names =
            request.dnsNames.map { DER.value(0x82, Array($0.utf8)) }
            + request.uriNames.map { DER.value(0x86, Array($0.utf8)) }
            + request.addresses.map { DER.value(0x87, $0.bytes) }
        if !names.isEmpty { list.append((NID_subject_alt_name, false, DER.sequence(Array(names.joined())))) }
        // 1.3.6.1.5.5.7.3.x
        let usages = request.usages.map { usage -> [UInt8] in
            let last: UInt8 =
                switch usage {
                case .server: 1
                case .client: 2
                case .codeSigning: 3
                }
            return DER.value(0x06, [0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, last])
        }
        if !usages.isEmpty { list.append((NID_ext_key_usage, false, DER.sequence(Array(usages.joined())))) }
        return list
    }

    private static func add(
        _ number: CInt, _ isCritical: Bool, _ value: [UInt8], to certificate: borrowing CertificateHandle
    ) {
        let octets = unsafe ASN1_OCTET_STRING_new()
        defer { unsafe ASN1_OCTET_STRING_free(octets) }
        unsafe ASN1_OCTET_STRING_set(octets, value, CInt(value.count))
        let part = unsafe X509_EXTENSION_create_by_NID(nil, number, isCritical ? 1 : 0, octets)
        defer { unsafe X509_EXTENSION_free(part) }
        unsafe X509_add_ext(certificate.raw, part, -1)
    }
}

private enum DER {
    static func value(_ tag: UInt8, _ content: [UInt8]) -> [UInt8] {
        let count = content.count
        let length: [UInt8] =
            count < 128
            ? [UInt8(count)] : count < 256 ? [0x81, UInt8(count)] : [0x82, UInt8(count >> 8), UInt8(count & 255)]
        return [tag] + length + content
    }

    static func sequence(_ content: [UInt8]) -> [UInt8] { value(0x30, content) }
}
