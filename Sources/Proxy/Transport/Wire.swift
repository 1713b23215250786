import Addressing
import CLinux
import Glibc

/// A connection's socket, perhaps with a TLS session on it: one call, and what the kernel or OpenSSL say to it.
struct Wire: ~Copyable {
    enum ReadOutcome { case bytes(Int), wantsRead, wantsWrite, end, failed(ChannelError) }
    enum SendOutcome { case sent(Int), wouldBlock, failed(ChannelError) }
    enum FlushOutcome { case drained, wouldBlock, failed(ChannelError) }
    enum PeekOutcome { case byte(UInt8), wouldBlock, end, failed(ChannelError) }

    // Before the socket: it is freed first.
    private var tls: TLSSession?
    private let socket: Descriptor

    init(_ socket: consuming Descriptor) { self.socket = socket }

    var raw: CInt { socket.raw }

    mutating func startTLS(serverSide context: TLSContext) throws(TLSError) {
        tls = try TLSSession(serverSide: context, descriptor: raw)
    }

    mutating func startTLS(_ origination: TLSOrigination, offering offer: ProtocolOffer) throws(TLSError) {
        tls = try TLSSession(
            clientSide: origination.context, descriptor: raw, verify: origination.verification, offering: offer,
            resuming: origination.resumption)
    }

    mutating func handshake() -> TLSSession.HandshakeOutcome { tls?.handshake() ?? .done }

    /// What comes now is not decrypted.
    mutating func dropTLS() { tls = nil }

    /// Reads once into the start of the buffer.
    mutating func read(into buffer: inout [UInt8]) -> ReadOutcome {
        if let outcome = tls?.read(into: &buffer) {
            switch outcome {
            case .bytes(let count): return .bytes(count)
            case .wantsRead: return .wantsRead
            case .wantsWrite: return .wantsWrite
            case .end: return .end
            case .failed(let error): return .failed(.tls(error))
            }
        }
        while true {
            let result = unsafe buffer.withUnsafeMutableBytes {
                unsafe linux_receive(socket.raw, $0.baseAddress, $0.count)
            }
            switch result {
            case 1...: return .bytes(result)
            case 0: return .end
            case Int(-EAGAIN): return .wantsRead
            case Int(-EINTR): continue
            case let failure: return .failed(.broken(SystemError(call: "recv", number: CInt(-failure))))
            }
        }
    }

    /// Sends some of the bytes. After `wouldBlock` the same bytes, or more, must come next.
    mutating func send(_ bytes: Span<UInt8>) -> SendOutcome {
        if let outcome = tls?.write(bytes) {
            switch outcome {
            case .bytes(let count): return .sent(count)
            case .wantsRead, .wantsWrite: return .wouldBlock
            case .end: return .failed(.brokenPipe)
            case .failed(let error): return .failed(.tls(error))
            }
        }
        while true {
            let result = unsafe bytes.withUnsafeBytes { unsafe linux_send(socket.raw, $0.baseAddress, $0.count) }
            switch result {
            case 0...: return .sent(result)
            case Int(-EAGAIN): return .wouldBlock
            case Int(-EINTR): continue
            case let failure: return .failed(.broken(SystemError(call: "send", number: CInt(-failure))))
            }
        }
    }

    /// Sends of what waits as much as it can.
    mutating func send(_ backlog: inout Backlog) -> FlushOutcome {
        while !backlog.isEmpty {
            switch backlog.withSpan({ send($0) }) {
            case .sent(let count): backlog.removeFirst(count)
            case .wouldBlock: return .wouldBlock
            case .failed(let error): return .failed(error)
            }
        }
        return .drained
    }

    /// The first byte that waits on the socket, left in place.
    func peekFirstByte() -> PeekOutcome {
        var byte: UInt8 = 0
        let result = unsafe linux_peek(socket.raw, &byte, 1)
        switch CInt(result) {
        case 1: return .byte(byte)
        case 0: return .end
        case -EAGAIN, -EINTR: return .wouldBlock
        case let failure: return .failed(.broken(SystemError(call: "recv", number: -failure)))
        }
    }

    /// Says that nothing more will be sent: close_notify under TLS, else FIN. False when close_notify finds the socket
    /// full: then call again when it is not.
    mutating func sayGoodbye() -> Bool {
        if let isSaid = tls?.sendCloseNotify() { return isSaid }
        _ = linux_shutdown_write(socket.raw)  // fails only when the peer is gone, which reading tells
        return true
    }

    /// Says close_notify as far as the socket takes it.
    mutating func hintGoodbye() { _ = tls?.sendCloseNotify() }

    /// Closing will send a reset.
    func resetOnClose() { _ = linux_reset_on_close(socket.raw) }

    /// Bytes that the peer has not acknowledged.
    var unacknowledgedBytes: Int { Int(max(0, linux_unsent_bytes(socket.raw))) }

    /// The socket's own address: under TPROXY, where the connection was meant to go.
    var localName: Endpoint? { try? Socket.localName(of: socket.raw) }

    // MARK: what TLS has agreed on; nothing where there is none

    // Mutating for the compiler's sake: a borrowed optional session it would want to consume.

    var isTLS: Bool { tls != nil }
    /// Decrypted bytes, or a part of a record, wait in memory.
    var hasPending: Bool { mutating get { tls?.hasPending ?? false } }
    /// The trust anchor that vouched for the peer, as DER; nil when none was looked for.
    var peerAnchor: [UInt8]? { mutating get { tls?.peerAnchor ?? nil } }
    mutating func peerIsTrusted(by context: TLSContext) -> Bool { tls?.peerIsTrusted(by: context) ?? true }
    var peerIdentity: PeerIdentity? { mutating get { tls?.peerIdentity() ?? nil } }
    var peerExpiry: Int64 { mutating get { tls?.peerExpiry ?? .max } }
    var isResumed: Bool { mutating get { tls?.isResumed ?? false } }
    var negotiatedProtocol: String? { mutating get { tls?.negotiatedProtocol ?? nil } }
    var serverName: String? { mutating get { tls?.serverName ?? nil } }
    var version: String? { mutating get { tls?.version } }
    var offeredVersions: TLSVersionSet { mutating get { tls?.offeredVersions ?? [] } }
    /// The session to resume next time, once the peer has given one out.
    var resumption: TLSResumption? { mutating get { tls?.resumption() ?? nil } }
}
