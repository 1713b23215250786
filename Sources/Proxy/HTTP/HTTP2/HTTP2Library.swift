import CNghttp2

/// What all HTTP/2 sessions of a worker share: callbacks and options of libnghttp2, and buffers.
@safe final class HTTP2Library {
    let callbacks: OpaquePointer
    let options: OpaquePointer
    /// For bodies that wait, the one used last on top: its storage is still in the processor's cache.
    private var buffers: [ByteWriter] = []

    /// nil when there is no memory.
    init?() {
        var callbacks: OpaquePointer?
        var options: OpaquePointer?
        guard unsafe nghttp2_session_callbacks_new(&callbacks) == 0, let callbacks = unsafe callbacks else {
            return nil
        }
        unsafe self.callbacks = callbacks
        guard unsafe http2_options(&options) == 0, let options = unsafe options else {
            unsafe nghttp2_session_callbacks_del(callbacks)
            return nil
        }
        unsafe self.options = options
        unsafe HTTP2Library.install(callbacks)
    }

    deinit {
        unsafe nghttp2_session_callbacks_del(callbacks)
        unsafe nghttp2_option_del(options)
    }

    /// RFC 9113 section 4.1.
    private static let frameHeaderBytes = 9

    /// Buffers at rest, and the size up to which one is worth keeping.
    private static let buffersKept = 8
    private static let bufferBytesKept = 131_072

    func takeBuffer() -> ByteWriter { buffers.popLast() ?? ByteWriter() }

    func giveBack(_ buffer: ByteWriter) {
        guard buffers.count < HTTP2Library.buffersKept, buffer.capacity <= HTTP2Library.bufferBytesKept else { return }
        buffer.removeAll()
        buffers.append(buffer)
    }

    /// Each callback unwraps its session and calls a method of it.
    private static func install(_ callbacks: OpaquePointer) {
        unsafe nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks) { _, frame, user in
            guard let frame = unsafe frame?.pointee else { return 0 }
            unsafe HTTP2Library.with(user) { unsafe $0.headersBegan(frame.hd.stream_id, category: frame.headers.cat) }
            return 0
        }
        unsafe nghttp2_session_callbacks_set_on_header_callback(callbacks) {
            _, _, name, nameCount, value, valueCount, _, user in
            let name = unsafe UnsafeBufferPointer(start: name, count: nameCount)
            let value = unsafe UnsafeBufferPointer(start: value, count: valueCount)
            unsafe HTTP2Library.with(user) { unsafe $0.header(name.span, value.span) }
            return 0
        }
        // An invalid field makes the message malformed (RFC 9113 section 8.2.1); the library would only skip it.
        unsafe nghttp2_session_callbacks_set_on_invalid_header_callback(callbacks) { _, _, _, _, _, _, _, _ in
            NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE.rawValue
        }
        unsafe nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks) { _, frame, user in
            guard let header = unsafe frame?.pointee.hd else { return 0 }
            unsafe HTTP2Library.with(user) { $0.frameReceived(header) }
            return 0
        }
        unsafe nghttp2_session_callbacks_set_on_frame_send_callback(callbacks) { _, frame, user in
            guard let header = unsafe frame?.pointee.hd else { return 0 }
            unsafe HTTP2Library.with(user) { $0.frameSent(header) }
            if UInt32(header.type) == NGHTTP2_GOAWAY.rawValue, let code = unsafe frame?.pointee.goaway.error_code {
                unsafe HTTP2Library.with(user) { $0.goAwaySent(code) }
            }
            return 0
        }
        unsafe nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks) { _, _, stream, data, count, user in
            guard let data = unsafe data else { return 0 }
            unsafe HTTP2Library.with(user) { unsafe $0.dataReceived(stream, data, count) }
            return 0
        }
        unsafe nghttp2_session_callbacks_set_send_data_callback(callbacks) { _, _, header, count, source, user in
            guard let slot = unsafe source?.pointee.fd else { return NGHTTP2_ERR_CALLBACK_FAILURE.rawValue }
            let frameHeader = unsafe UnsafeBufferPointer(start: header, count: HTTP2Library.frameHeaderBytes)
            return unsafe HTTP2Library.with(user) {
                unsafe $0.sendBody(HTTP2Slot(slot), frameHeader: frameHeader.span, count: count)
            } ?? NGHTTP2_ERR_CALLBACK_FAILURE.rawValue
        }
        unsafe nghttp2_session_callbacks_set_on_stream_close_callback(callbacks) { _, stream, code, user in
            unsafe HTTP2Library.with(user) { $0.streamClosed(stream, code) }
            return 0
        }
    }

    /// Where a body comes from: the library asks when the peer's window has room.
    static func bodyOf(_ slot: HTTP2Slot) -> nghttp2_data_provider {
        var provider = unsafe nghttp2_data_provider()
        unsafe provider.source.fd = Int32(slot)
        unsafe provider.read_callback = { _, _, _, room, flags, source, user in
            guard let slot = unsafe source?.pointee.fd, let flags = unsafe flags else {
                return Int(NGHTTP2_ERR_CALLBACK_FAILURE.rawValue)
            }
            return unsafe HTTP2Library.with(user) {
                unsafe $0.offer(HTTP2Slot(slot), room: room, &flags.pointee)
            } ?? Int(NGHTTP2_ERR_CALLBACK_FAILURE.rawValue)
        }
        return unsafe provider
    }

    /// Calls a session that is in the midst of a call of its own, and so is held by its caller.
    @discardableResult
    private static func with<Result>(
        _ user: UnsafeMutableRawPointer?, _ body: (HTTP2Session) -> Result
    ) -> Result? {
        guard let user = unsafe user else { return nil }
        return unsafe Unmanaged<HTTP2Session>.fromOpaque(user)._withUnsafeGuaranteedRef(body)
    }
}
