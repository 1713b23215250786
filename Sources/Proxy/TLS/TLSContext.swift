import COpenSSL

/// The lowest protocol version that is spoken.
package enum TLSVersion: Sendable { case v1_2, v1_3 }

/// Why material cannot be used, although it was checked when it was read.
package struct TLSConfigurationError: Error, CustomStringConvertible {
    package let description: String
}

/// What all sessions of one side share: an `SSL_CTX`, which belongs to one worker.
@safe package final class TLSContext {
    let raw: OpaquePointer

    private init(owning raw: OpaquePointer) { unsafe self.raw = raw }

    deinit { unsafe SSL_CTX_free(raw) }

    /// Accepts peers that show a certificate for clients, issued by a trust anchor.
    static func server(_ material: TLSMaterial, minimumVersion: TLSVersion) throws(TLSConfigurationError) -> TLSContext
    {
        let context = unsafe try make(TLS_server_method(), minimumVersion)
        guard let credentials = material.server else {
            throw TLSConfigurationError(description: "a TLS server needs a certificate")
        }
        try context.trust(material.serverTrust, announce: true)
        try context.present(credentials)
        unsafe openssl_select_http(context.raw)
        unsafe openssl_note_offered_versions(context.raw)
        // A session that was opened under another trust set is not resumed under this one.
        let identity = TLSContext.sessionContext(material.serverTrust)
        guard unsafe SSL_CTX_set_session_id_context(context.raw, identity, CUnsignedInt(identity.count)) == 1,
            unsafe openssl_set_ticket_keys(context.raw, material.ticketKeys) == 1
        else { throw TLSConfigurationError(description: "session tickets cannot be set up") }
        return context
    }

    /// Accepts everybody: for services that know their clients in other ways, or need not know them. They speak
    /// HTTP/1.1, and resume no sessions.
    package static func openServer(
        _ credentials: Credentials, minimumVersion: TLSVersion
    ) throws(TLSConfigurationError) -> TLSContext {
        let context = unsafe try make(TLS_server_method(), minimumVersion)
        unsafe openssl_ask_no_certificate(context.raw)
        try context.present(credentials)
        unsafe openssl_select_http1(context.raw)
        unsafe openssl_note_offered_versions(context.raw)
        return context
    }

    /// Verifies servers by these trust anchors, as DER, and presents nothing.
    package static func anonymousClient(
        trusting anchors: [[UInt8]], minimumVersion: TLSVersion
    ) throws(TLSConfigurationError) -> TLSContext {
        let context = unsafe try make(TLS_client_method(), minimumVersion)
        try context.trust(anchors, announce: false)
        return context
    }

    /// Tickets are encrypted with these keys from now on, and only they are accepted.
    func useTicketKeys(_ keys: [UInt8]) {
        guard keys.count == TLSMaterial.ticketKeyBytes else { return }
        _ = unsafe openssl_set_ticket_keys(raw, keys)  // fails only for another length
    }

    /// Presents the client pair where there is one, and requires servers that a trust anchor has issued.
    static func client(_ material: TLSMaterial, minimumVersion: TLSVersion) throws(TLSConfigurationError) -> TLSContext
    {
        let context = unsafe try make(TLS_client_method(), minimumVersion)
        try context.trust(material.clientTrust, announce: false)
        if let credentials = material.client { try context.present(credentials) }
        return context
    }

    /// Takes any server and shows no certificate: for HTTPS probes, which the kubelet does not verify either. It is for
    /// nothing else.
    static func unverifiedClient() throws(TLSConfigurationError) -> TLSContext {
        let context = unsafe try make(TLS_client_method(), .v1_2)
        guard unsafe openssl_accept_any_certificate(context.raw) == 1 else {
            throw TLSConfigurationError(description: "the TLS library knows no ciphers")
        }
        return context
    }

    private static func make(
        _ method: OpaquePointer?, _ minimumVersion: TLSVersion
    ) throws(TLSConfigurationError) -> TLSContext {
        guard let raw = unsafe SSL_CTX_new(method) else {
            throw TLSConfigurationError(description: "no memory for a TLS context")
        }
        let context = unsafe TLSContext(owning: raw)
        unsafe openssl_require_peer_certificate(raw)
        guard unsafe openssl_context_defaults(raw) == 1,
            unsafe openssl_set_minimum_version(raw, minimumVersion == .v1_3 ? 1 : 0) == 1
        else { throw TLSConfigurationError(description: "the TLS library knows too few versions and ciphers") }
        return context
    }

    /// - Precondition: the trust anchors are known, for intermediate certificates that did not come with the pair.
    private func present(_ credentials: Credentials) throws(TLSConfigurationError) {
        guard let key = PrivateKeyHandle(der: credentials.privateKey) else {
            throw TLSConfigurationError(description: "the private key cannot be read again")
        }
        for (index, der) in credentials.chain.enumerated() {
            guard let certificate = CertificateHandle(der: der) else {
                throw TLSConfigurationError(description: "a certificate cannot be read again")
            }
            let isUsed =
                index == 0
                ? unsafe SSL_CTX_use_certificate(raw, certificate.raw)
                : CInt(unsafe SSL_CTX_ctrl(raw, SSL_CTRL_CHAIN_CERT, 1, UnsafeMutableRawPointer(certificate.raw)))
            guard isUsed == 1 else { throw TLSConfigurationError(description: TLSError.taken().detail) }
        }
        guard unsafe SSL_CTX_use_PrivateKey(raw, key.raw) == 1 else {
            throw TLSConfigurationError(description: TLSError.taken().detail)
        }
        if credentials.chain.count == 1, unsafe openssl_complete_chain(raw) != 1 {
            throw TLSConfigurationError(description: TLSError.taken().detail)
        }
    }

    /// Beyond it the names stay unsaid: a bundle of all public authorities would burden each handshake with 15 KB.
    private static let maximumAnnouncedAnchors = 32

    private func trust(_ anchors: [[UInt8]], announce: Bool) throws(TLSConfigurationError) {
        // The names help a client with several certificates to choose one (RFC 8446 section 4.2.4).
        let isShort = anchors.count <= TLSContext.maximumAnnouncedAnchors
        for der in anchors {
            guard let anchor = CertificateHandle(der: der),
                unsafe openssl_add_trust_anchor(raw, anchor.raw, announce && isShort ? 1 : 0) == 1
            else { throw TLSConfigurationError(description: "a trust anchor cannot be used") }
        }
    }

    /// Why the pair that is presented does not lead to a trust anchor of the same context, in words; nil when it does.
    func ownChainFailure(as purpose: PairPurpose) -> String? {
        let code = unsafe openssl_own_chain_failure(raw, purpose.number)
        guard code != X509_V_OK else { return nil }
        return unsafe X509_verify_cert_error_string(Int(code)).map { unsafe String(cString: $0) } ?? "error \(code)"
    }

    /// 32 bytes that differ when the trust set does (SSL_CTX_set_session_id_context(3)).
    private static func sessionContext(_ anchors: [[UInt8]]) -> [UInt8] {
        var digest = [UInt8](repeating: 0, count: 32)
        var count: CUnsignedInt = 0
        let all = anchors.flatMap { $0 }
        _ = unsafe EVP_Digest(all, all.count, &digest, &count, EVP_sha256(), nil)
        return digest
    }
}
