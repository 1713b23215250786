import Addressing
import COpenSSL
import Glibc

/// A session that may be resumed; owns an `SSL_SESSION`.
@safe final class TLSResumption {
    fileprivate let raw: OpaquePointer

    fileprivate init(owning raw: OpaquePointer) { unsafe self.raw = raw }

    deinit { unsafe SSL_SESSION_free(raw) }
}

/// One TLS connection on a non-blocking socket (RFC 8446, RFC 5246).
@safe struct TLSSession: ~Copyable {
    enum HandshakeOutcome { case done, wantsRead, wantsWrite, failed(TLSError) }
    /// `end` is the peer's close_notify; an end without it is a failure, since anyone could have cut the connection.
    enum IOOutcome { case bytes(Int), wantsRead, wantsWrite, end, failed(TLSError) }

    private let raw: OpaquePointer
    private let sanGlobs: [String]?
    /// After a fatal error OpenSSL must not be asked to say goodbye.
    private var isBroken = false
    private var saidGoodbye = false

    init(serverSide context: TLSContext, descriptor: CInt) throws(TLSError) {
        unsafe raw = try TLSSession.make(context, descriptor)
        sanGlobs = nil
        unsafe SSL_set_accept_state(raw)
    }

    init(
        clientSide context: TLSContext, descriptor: CInt, verify: ServerVerification,
        offering protocols: ProtocolOffer = .nothing, resuming: TLSResumption?
    ) throws(TLSError) {
        // OpenSSL takes an empty name for "do not check", and one with a leading dot for any subdomain.
        if case .full(.dns(let host)) = verify, HostName.checkable(host) == nil {
            throw TLSError(
                .nameMismatch, "the server's name \"\(HostName.printable(host))\" is not one that can be checked")
        }
        let session = unsafe try TLSSession.make(context, descriptor)
        var isSet: CInt = 1
        var name: String?
        switch verify {
        case .full(.dns(let host)):
            name = HostName.checkable(host)
            if let name { isSet = unsafe openssl_expect_host(session, name) }
        case .full(.address(let address)):
            let bytes = address.bytes
            isSet = unsafe openssl_expect_address(session, bytes, bytes.count)
        case .sans(_, let sni), .chainOnly(let sni): name = sni.flatMap(HostName.checkable)
        }
        if isSet == 1, let name { isSet = unsafe openssl_set_server_name(session, name) }
        let offer = protocols.wireFormat
        if isSet == 1, !offer.isEmpty { isSet = unsafe openssl_offer_protocols(session, offer, offer.count) }
        if isSet == 1, let resuming, unsafe openssl_session_is_usable(resuming.raw) == 1 {
            isSet = unsafe SSL_set_session(session, resuming.raw)
        }
        unsafe SSL_set_connect_state(session)
        unsafe raw = session
        if case .sans(let globs, _) = verify { sanGlobs = globs } else { sanGlobs = nil }
        if isSet != 1 { isBroken = true }
    }

    deinit {
        // Freed without a goodbye, OpenSSL would declare the session bad, and with it the resumption that shares it.
        if !isBroken { unsafe SSL_set_shutdown(raw, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN) }
        unsafe SSL_free(raw)
    }

    private static func make(_ context: TLSContext, _ descriptor: CInt) throws(TLSError) -> OpaquePointer {
        guard let session = unsafe SSL_new(context.raw) else { throw TLSError(.internalError, "no memory for TLS") }
        guard unsafe openssl_attach_socket(session, descriptor) == 1 else {
            unsafe SSL_free(session)
            throw TLSError.taken()
        }
        return unsafe session
    }

    mutating func handshake() -> HandshakeOutcome {
        guard !isBroken else { return .failed(TLSError(.internalError, "the server's name cannot be checked")) }
        ERR_clear_error()
        openssl_forget_verify_failure()
        let result = unsafe SSL_do_handshake(raw)
        if result == 1 { return checkNames() }
        switch failure(of: result) {
        case .wantsRead: return .wantsRead
        case .wantsWrite: return .wantsWrite
        case .end: return .failed(TLSError(.truncated, "the peer closed the connection in the handshake"))
        case .failed(let error): return .failed(error)
        case .bytes: return .done
        }
    }

    private mutating func checkNames() -> HandshakeOutcome {
        guard let sanGlobs else { return .done }
        let summary = peerIdentity()?.summary
        if let summary, summary.hasName(matching: sanGlobs) { return .done }
        let names = (summary?.names ?? []).map(HostName.printable).joined(separator: ", ")
        return .failed(
            TLSError(
                .nameMismatch,
                "no name of the server's certificate (\(names)) is among the allowed ones: "
                    + sanGlobs.joined(separator: ", ")))
    }

    /// Reads into the start of the buffer.
    mutating func read(into buffer: inout [UInt8]) -> IOOutcome {
        TLSSession.dropStaleErrors()
        let count = unsafe buffer.withUnsafeMutableBufferPointer {
            unsafe SSL_read(raw, $0.baseAddress, CInt(clamping: $0.count))
        }
        return count > 0 ? .bytes(Int(count)) : failure(of: count)
    }

    /// Writes some of the bytes. After `wantsWrite` the same bytes, or more, must be written next.
    mutating func write(_ bytes: Span<UInt8>) -> IOOutcome {
        TLSSession.dropStaleErrors()
        // A record is sent by each call: all but the last of these bytes may wait for it.
        unsafe openssl_expect_more(raw, bytes.count > TLSSession.recordBytes ? 1 : 0)
        let count = unsafe bytes.withUnsafeBufferPointer {
            unsafe SSL_write(raw, $0.baseAddress, CInt(clamping: $0.count))
        }
        return count > 0 ? .bytes(Int(count)) : failure(of: count)
    }

    /// RFC 8446 section 5.1.
    private static let recordBytes = 16_384

    /// SSL_get_error(3) believes whatever the thread's queue holds. Looking costs 14 ns, clearing 92.
    private static func dropStaleErrors() {
        if ERR_peek_error() != 0 { ERR_clear_error() }
    }

    private mutating func failure(of result: CInt) -> IOOutcome {
        let number = errno
        switch unsafe SSL_get_error(raw, result) {
        case SSL_ERROR_WANT_READ: return .wantsRead
        case SSL_ERROR_WANT_WRITE: return .wantsWrite
        case SSL_ERROR_ZERO_RETURN: return .end
        case SSL_ERROR_SYSCALL where ERR_peek_error() == 0:
            isBroken = true
            return .failed(.system(number))
        case _:
            isBroken = true
            return .failed(.taken())
        }
    }

    /// Bytes are buffered that the socket will not announce again.
    var hasPending: Bool { unsafe SSL_has_pending(raw) == 1 }

    /// Sends close_notify, once; the peer's is not waited for. False when the socket is full: then call again when it is not.
    mutating func sendCloseNotify() -> Bool {
        guard !isBroken, !saidGoodbye else { return true }
        ERR_clear_error()
        let result = unsafe SSL_shutdown(raw)
        saidGoodbye = unsafe result >= 0 || SSL_get_error(raw, result) != SSL_ERROR_WANT_WRITE
        return saidGoodbye
    }

    // MARK: what was agreed

    var isResumed: Bool { unsafe SSL_session_reused(raw) == 1 }

    /// The name the client asked for (RFC 6066 section 3).
    var serverName: String? {
        unsafe SSL_get_servername(raw, TLSEXT_NAMETYPE_host_name).map { unsafe String(cString: $0) }
    }

    /// `TLSv1.3`, once a version has been agreed.
    var version: String { unsafe String(cString: SSL_get_version(raw)) }

    /// What the peer's ClientHello offered; empty before it came, and for this side's own.
    var offeredVersions: TLSVersionSet {
        TLSVersionSet(rawValue: UInt8(truncatingIfNeeded: unsafe openssl_offered_versions(raw)))
    }

    var negotiatedProtocol: String? {
        var count: CUnsignedInt = 0
        guard let name = unsafe openssl_alpn(raw, &count), count > 0 else { return nil }
        return unsafe String(
            decoding: UnsafeRawBufferPointer(start: name, count: Int(count)), as: UTF8.self)
    }

    func peerIdentity() -> PeerIdentity? {
        guard let certificate = unsafe SSL_get1_peer_certificate(raw) else { return nil }
        return unsafe PeerIdentity(CertificateHandle(owning: certificate))
    }

    /// Seconds since the epoch when the peer's certificate expires; `.max` without one.
    var peerExpiry: Int64 { unsafe openssl_peer_expiry(raw) }

    /// The trust anchor that vouched for the peer, as DER; nil after a resumed handshake, which looked for none.
    var peerAnchor: [UInt8]? {
        guard let anchor = unsafe openssl_peer_anchor(raw), unsafe X509_up_ref(anchor) == 1 else { return nil }
        return unsafe CertificateHandle(owning: anchor).der
    }

    /// Whether a trust anchor of the context vouches for the peer, by the certificates of this handshake.
    func peerIsTrusted(by context: TLSContext) -> Bool { unsafe openssl_peer_is_trusted(raw, context.raw) == 1 }

    /// The session for the next connection; under TLS 1.3 there is one only after the server's ticket was read.
    func resumption() -> TLSResumption? {
        guard let session = unsafe SSL_get1_session(raw) else { return nil }
        let resumption = unsafe TLSResumption(owning: session)
        return unsafe openssl_session_is_usable(session) == 1 ? resumption : nil
    }
}
