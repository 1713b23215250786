/// What to do about a failed handshake, a sentence for each reason and side.
enum HandshakeAdvice {
    static func sentence(_ reason: TLSError.Reason, _ side: TLSSide) -> String {
        switch side {
        case .server: server(reason)
        case .client: client(reason)
        }
    }

    private static func server(_ reason: TLSError.Reason) -> String {
        switch reason {
        case .noCertificate:
            "give the client a certificate: a pair in its CLIENT_CERT_DIR, or -- for a program without a sidecar -- its own option for one"
        case .unknownAuthority:
            "put the authority that issued the client's certificate into CA_DIR here, or have the client send the certificates between"
        case .expired: "renew the client's certificate, or the authority above it that is named"
        case .notYetValid: "compare the clocks of both nodes; else wait, or issue the certificate again"
        case .wrongPurpose: "issue the client's certificate with the extended key usage clientAuth"
        case .badSignature: "the client's key does not belong to its certificate: write both anew"
        case .badCertificate: "issue the client's certificate again; the detail says what is wrong with it"
        case .nameMismatch: "issue the client a certificate with a name that is allowed here"
        case .noSharedVersion: "have the client speak TLS 1.2 or later, or lower TLS_MIN_VERSION here"
        case .noSharedCipher:
            "have the client offer TLS 1.3, or ECDHE with AES-GCM or ChaCha20-Poly1305 under TLS 1.2"
        case .notTLS:
            "have the client speak TLS to this port: its URL wants https, or its pod a sidecar; for captured ports see INBOUND_PLAINTEXT"
        case .peerAlert:
            "the client refused this side, mostly its certificate: see that it trusts the authority of SERVER_CERT_DIR and uses a name the certificate has"
        case .truncated:
            "the client left in the middle; a TCP probe does that, and so does a client that has no certificate to send"
        case .reset, .connection: "the connection broke: look for a client that crashed or a firewall between"
        case .protocolViolation: "the client breaks the protocol: look at its TLS library, or at what stands between"
        case .timeout: "the client was too slow: raise HANDSHAKE_TIMEOUT_SECS if its network is that slow"
        case .internalError: "this is a fault of this side: see its log"
        }
    }

    private static func client(_ reason: TLSError.Reason) -> String {
        switch reason {
        case .noCertificate: "the server sent no certificate: see that it speaks TLS with one"
        case .unknownAuthority:
            "put the authority that issued the server's certificate into CA_DIR here, or have the server send the certificates between"
        case .expired: "renew the server's certificate, or the authority above it that is named"
        case .notYetValid: "compare the clocks of both nodes; else wait, or issue the certificate again"
        case .wrongPurpose: "issue the server's certificate with the extended key usage serverAuth"
        case .badSignature: "the server's key does not belong to its certificate: write both anew"
        case .badCertificate: "issue the server's certificate again; the detail says what is wrong with it"
        case .nameMismatch:
            "issue the server a certificate with the name that is used for it, or set OUTBOUND_VERIFY to what it has: san:<names> or ca"
        case .noSharedVersion: "have the server speak TLS 1.2 or later, or lower TLS_MIN_VERSION here"
        case .noSharedCipher:
            "have the server accept TLS 1.3, or ECDHE with AES-GCM or ChaCha20-Poly1305 under TLS 1.2"
        case .notTLS:
            "the server speaks no TLS there: give its pod a sidecar, or leave it out with EXCLUDE_OUTBOUND_CIDRS or OUTBOUND_MTLS_CIDRS"
        case .peerAlert:
            "the server refused this side's certificate: see that it trusts the authority of CLIENT_CERT_DIR, and look at its own /handshakes"
        case .truncated, .reset, .connection:
            "the server hung up: see that it speaks TLS there, and look at its own /handshakes"
        case .protocolViolation: "the server breaks the protocol: look at its TLS library, or at what stands between"
        case .timeout: "the server was too slow: see whether it is overloaded, or speaks no TLS there"
        case .internalError: "this is a fault of this side: see its log"
        }
    }
}
