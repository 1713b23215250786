import CNghttp2

/// One side of an HTTP/2 connection (RFC 9113), without a socket: bytes in give events, what is sent gives bytes out.
///
/// libnghttp2 keeps the framing, the compression, the streams' states and the windows. Bodies wait here until the peer's
/// window takes them; what was received counts against ours until `consume`.
@safe final class HTTP2Session {
    enum Role { case server, client }

    private let raw: OpaquePointer
    private let library: HTTP2Library
    private let role: Role
    private var streams: [HTTP2Stream] = []
    private var freeSlots: [HTTP2Slot] = []
    private(set) var activeStreams = 0
    /// Body bytes of all streams that wait to be sent.
    private(set) var queuedBytes = 0
    private var events = HTTP2Events()
    private var composer: HeadComposer
    private var composing: HTTP2Slot?
    private var composingKind = HeadComposer.Kind.request
    private var received: UnsafePointer<UInt8>?
    private var uselessFrames = 0
    private var fields: [nghttp2_nv] = unsafe []
    private(set) var isEnded = false
    /// The peer was told that it has broken the protocol, or flooded: the library says so by itself.
    private(set) var hasAccusedPeer = false
    private var drained: [HTTP2Slot] = []
    /// The caller's buffer while it is being filled.
    private var output: ByteWriter?
    private var outputLimit = 0

    /// - Parameter maxHeadBytes: of a received head, in HTTP/1.1's form.
    init?(_ role: Role, _ library: HTTP2Library, maxHeadBytes: Int) {
        self.role = role
        self.library = library
        composer = HeadComposer(limit: maxHeadBytes)
        var made: OpaquePointer?
        switch role {
        case .server: unsafe nghttp2_session_server_new2(&made, library.callbacks, nil, library.options)
        case .client: unsafe nghttp2_session_client_new2(&made, library.callbacks, nil, library.options)
        }
        guard let made = unsafe made else { return nil }
        unsafe raw = made
        unsafe nghttp2_session_set_user_data(made, Unmanaged.passUnretained(self).toOpaque())
        guard submitSettings(maxHeadBytes) else { return nil }
    }

    deinit { unsafe nghttp2_session_del(raw) }

    private func submitSettings(_ maxHeadBytes: Int) -> Bool {
        func setting(_ id: nghttp2_settings_id, _ value: UInt32) -> nghttp2_settings_entry {
            nghttp2_settings_entry(settings_id: Int32(id.rawValue), value: value)
        }
        var settings = [setting(NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, HTTP2Bounds.streamWindow)]
        switch role {
        case .server:
            settings.append(setting(NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, HTTP2Bounds.concurrentStreams))
            settings.append(setting(NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, UInt32(clamping: maxHeadBytes)))
            settings.append(setting(NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL, 1))
        case .client: settings.append(setting(NGHTTP2_SETTINGS_ENABLE_PUSH, 0))
        }
        return unsafe nghttp2_submit_settings(raw, 0, settings, settings.count) == 0
            && nghttp2_session_set_local_window_size(raw, 0, 0, HTTP2Bounds.connectionWindow) == 0
    }

    // MARK: bytes in

    /// Takes bytes of the peer; false when the connection is to end. Either way output may wait, and events.
    func receive(_ bytes: Span<UInt8>) -> Bool {
        unsafe bytes.withUnsafeBufferPointer { buffer in
            unsafe received = buffer.baseAddress
            let count = unsafe nghttp2_session_mem_recv(raw, buffer.baseAddress, buffer.count)
            unsafe received = nil
            let isFlooded =
                unsafe uselessFrames > HTTP2Bounds.uselessFrames
                || nghttp2_session_get_outbound_queue_size(raw) > HTTP2Bounds.queuedFrames
            if count == buffer.count, !isFlooded { return true }
            // What is wrong with the preface, or too much of something: the library says goodbye only for part of it.
            let code =
                count == buffer.count || count == NGHTTP2_ERR_FLOODED.rawValue ? HTTP2ErrorCode.enhanceYourCalm : 1
            unsafe nghttp2_session_terminate_session(raw, code)
            isEnded = true
            return false
        }
    }

    /// Begins anew to count frames without use: those of a long time are no flood.
    func forgive() { uselessFrames = 0 }

    /// Hands out the events since the last call, which the caller works off in order, and their heads and trailers.
    func takeEvents(into batch: inout HTTP2Events) {
        batch.removeAll()
        swap(&batch, &events)
    }

    var hasEvents: Bool { !events.isEmpty }

    func headersBegan(_ id: Int32, category: nghttp2_headers_category) {
        var kind = HeadComposer.Kind.trailers
        switch category {
        case NGHTTP2_HCAT_REQUEST:
            composing = open(id)
            kind = .request
        case NGHTTP2_HCAT_RESPONSE:
            composing = slot(of: id)
            kind = .response
        case _:
            composing = slot(of: id)
            // After an interim answer the final one comes as one more HEADERS frame.
            if role == .client, let slot = composing, !streams[slot].hasHead { kind = .response }
        }
        composer.begin(kind)
        composingKind = kind
    }

    func header(_ name: Span<UInt8>, _ value: Span<UInt8>) { composer.add(name, value) }

    func frameReceived(_ frame: nghttp2_frame_hd) {
        let endsStream = frame.flags & UInt8(NGHTTP2_FLAG_END_STREAM.rawValue) != 0
        switch UInt32(frame.type) {
        case NGHTTP2_HEADERS.rawValue:
            uselessFrames = 0
            headersEnded(endsStream)
        case NGHTTP2_DATA.rawValue:
            if endsStream, let slot = slot(of: frame.stream_id) { events.append(.end(slot)) }
            uselessFrames = frame.length == 0 && !endsStream ? uselessFrames + 1 : 0
        case NGHTTP2_GOAWAY.rawValue: events.append(.goAway)
        case NGHTTP2_PRIORITY.rawValue, NGHTTP2_PING.rawValue, NGHTTP2_SETTINGS.rawValue: uselessFrames += 1
        case _: break
        }
    }

    private func headersEnded(_ endsStream: Bool) {
        composer.finish()
        guard let slot = composing else { return }
        composing = nil
        if composingKind == .trailers, composer.isTooLarge || composer.isMalformed {
            // The message has begun already: it is cut, not refused.
            return reset(slot, HTTP2ErrorCode.cancel)
        }
        if composer.isTooLarge { return events.append(.headTooLarge(slot, events.keep(composer.text))) }
        if composer.isMalformed { return events.append(.headMalformed(slot)) }
        let range = events.keep(composer.text)
        if composingKind == .trailers { return events.append(.trailers(slot, range)) }
        if role == .client { streams[slot].hasHead = composer.isFinal }
        events.append(.head(slot, range, endsStream: endsStream))
    }

    func dataReceived(_ id: Int32, _ data: UnsafePointer<UInt8>, _ count: Int) {
        guard let slot = slot(of: id), let received = unsafe received else { return }
        streams[slot].unconsumed += count
        let start = unsafe data - received
        events.append(.data(slot, start..<start + count))
    }

    func streamClosed(_ id: Int32, _ code: UInt32) {
        guard let slot = slot(of: id) else { return }
        if composing == slot { composing = nil }
        streams[slot].isClosed = true
        events.append(.closed(slot, code: code))
        _ = unsafe nghttp2_session_set_stream_user_data(raw, id, nil)
    }

    // MARK: slots

    private func open(_ id: Int32) -> HTTP2Slot? {
        let slot: HTTP2Slot
        if let free = freeSlots.popLast() {
            slot = free
        } else {
            slot = streams.count
            streams.append(HTTP2Stream())
        }
        guard unsafe nghttp2_session_set_stream_user_data(raw, id, UnsafeMutableRawPointer(bitPattern: slot + 1)) == 0
        else {
            freeSlots.append(slot)
            return nil
        }
        streams[slot].id = id
        streams[slot].isUsed = true
        activeStreams += 1
        return slot
    }

    private func slot(of id: Int32) -> HTTP2Slot? {
        let number = unsafe Int(bitPattern: nghttp2_session_get_stream_user_data(raw, id))
        return number == 0 ? nil : number - 1
    }

    /// The stream has ended, whatever of it is still to be worked off.
    func isClosed(_ slot: HTTP2Slot) -> Bool { streams[slot].isClosed }

    /// Gives a closed stream's slot back.
    func free(_ slot: HTTP2Slot) {
        guard streams[slot].isUsed else { return }
        consumeAll(slot)
        activeStreams -= 1
        dropBody(streams[slot])
        streams[slot].reset()
        freeSlots.append(slot)
    }

    // MARK: windows

    /// The bytes received on a stream are gone, so its peer may send as many again.
    func consumeAll(_ slot: HTTP2Slot) {
        let count = streams[slot].unconsumed
        guard count > 0 else { return }
        streams[slot].unconsumed = 0
        _ = unsafe nghttp2_session_consume(raw, streams[slot].id, count)
    }

    /// Body bytes that wait for the peer's window or the socket.
    func queuedBytes(_ slot: HTTP2Slot) -> Int { streams[slot].queuedBytes }

    // MARK: sending

    /// Begins a stream of a client; nil when no more can be had on this connection.
    func request(_ block: HeaderBlock, endsStream: Bool) -> HTTP2Slot? {
        let slot = freeSlots.last ?? streams.count
        let id = unsafe withFields(block) { fields, count in
            guard !endsStream else { return unsafe nghttp2_submit_request(raw, nil, fields, count, nil, nil) }
            var provider = unsafe HTTP2Library.bodyOf(slot)
            return unsafe nghttp2_submit_request(raw, nil, fields, count, &provider, nil)
        }
        guard id > 0, let opened = open(id) else { return nil }
        precondition(opened == slot)
        streams[slot].hasEnded = endsStream
        return slot
    }

    /// Sends a final head; without `endsStream` a body follows.
    func answer(_ slot: HTTP2Slot, _ block: HeaderBlock, endsStream: Bool) {
        let id = streams[slot].id
        streams[slot].hasEnded = endsStream
        _ = unsafe withFields(block) { fields, count in
            guard !endsStream else { return unsafe nghttp2_submit_response(raw, id, fields, count, nil) }
            var provider = unsafe HTTP2Library.bodyOf(slot)
            return unsafe nghttp2_submit_response(raw, id, fields, count, &provider)
        }
    }

    /// Sends an interim head (RFC 9110 section 15.2).
    func answerInterim(_ slot: HTTP2Slot, _ block: HeaderBlock) {
        let id = streams[slot].id
        _ = unsafe withFields(block) { fields, count in
            unsafe nghttp2_submit_headers(raw, 0, id, nil, fields, count, nil)
        }
    }

    func send(_ slot: HTTP2Slot, _ payload: Span<UInt8>) {
        guard !streams[slot].hasEnded, !payload.isEmpty else { return }
        streams[slot].append(payload, spare: library.takeBuffer)
        queuedBytes += payload.count
        wake(slot)
    }

    /// Nothing follows but the trailers.
    func end(_ slot: HTTP2Slot, trailers: HeaderBlock?) {
        guard !streams[slot].hasEnded else { return }
        streams[slot].hasEnded = true
        streams[slot].trailers = trailers
        wake(slot)
    }

    func reset(_ slot: HTTP2Slot, _ code: UInt32) {
        _ = unsafe nghttp2_submit_rst_stream(raw, 0, streams[slot].id, code)
    }

    /// Once everything is sent, tells the peer that the rest of its body is not wanted (RFC 9113 section 8.1).
    func stopPeerAfterEnd(_ slot: HTTP2Slot) { streams[slot].stopsPeer = true }

    private func wake(_ slot: HTTP2Slot) {
        guard streams[slot].isDeferred else { return }
        streams[slot].isDeferred = false
        _ = unsafe nghttp2_session_resume_data(raw, streams[slot].id)
    }

    func ping() { _ = unsafe nghttp2_submit_ping(raw, 0, nil) }

    /// Says that the connection is about to end; new streams are still taken (RFC 9113 section 6.8).
    func announceEnd() { _ = unsafe nghttp2_submit_shutdown_notice(raw) }

    /// Takes no more streams than those that were begun.
    func refuseNewStreams() {
        _ = unsafe nghttp2_submit_goaway(raw, 0, nghttp2_session_get_last_proc_stream_id(raw), 0, nil, 0)
    }

    /// Ends the session when what is said already is sent.
    func terminate(_ code: UInt32) {
        isEnded = true
        _ = unsafe nghttp2_session_terminate_session(raw, code)
    }

    /// Appends what is to be sent, a frame at a time, until `limit` is passed; false when the session broke.
    func output(into writer: ByteWriter, limit: Int) -> Bool {
        // Bodies are appended by `sendBody`, in the midst of the library's call.
        output = writer
        outputLimit = limit
        defer { output = nil }
        while writer.count < limit {
            var frame: UnsafePointer<UInt8>?
            let count = unsafe nghttp2_session_mem_send(raw, &frame)
            guard count > 0, let frame = unsafe frame else { return count == 0 }
            unsafe writer.append(UnsafeBufferPointer(start: frame, count: count).span)
        }
        return true
    }

    /// Neither side has anything to say any more.
    var isOver: Bool {
        unsafe nghttp2_session_want_read(raw) == 0 && nghttp2_session_want_write(raw) == 0
    }

    var wantsToWrite: Bool { unsafe nghttp2_session_want_write(raw) != 0 }

    // MARK: what the peer allows

    /// How many streams a server takes at a time; 100 until it says.
    var peerConcurrentStreams: Int {
        Int(unsafe nghttp2_session_get_remote_settings(raw, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS))
    }

    var takesRequests: Bool { unsafe !isEnded && nghttp2_session_check_request_allowed(raw) == 1 }

    // MARK: bodies, asked for by the library

    /// How many bytes of a body the next frame is to hold; `sendBody` is called for them.
    func offer(_ slot: HTTP2Slot, room: Int, _ flags: inout UInt32) -> Int {
        let waiting = queuedBytes(slot)
        guard waiting > 0 || streams[slot].hasEnded else {
            streams[slot].isDeferred = true
            return Int(NGHTTP2_ERR_DEFERRED.rawValue)
        }
        flags |= NGHTTP2_DATA_FLAG_NO_COPY.rawValue
        let count = min(waiting, room)
        if count == waiting, streams[slot].hasEnded { finish(slot, &flags) }
        return count
    }

    /// Appends a frame with `count` bytes of a body to the output; answers an error code of the library.
    func sendBody(_ slot: HTTP2Slot, frameHeader: Span<UInt8>, count: Int) -> Int32 {
        guard let output else { return NGHTTP2_ERR_CALLBACK_FAILURE.rawValue }
        output.append(frameHeader)
        if count > 0 {
            let stream = streams[slot]
            stream.move(count, to: output)
            queuedBytes -= count
            if stream.queuedBytes == 0 { dropBody(stream) }
            drained.append(slot)
            uselessFrames = 0  // gRPC asks for the way's length with a PING for what it gets
        }
        return output.count < outputLimit ? 0 : NGHTTP2_ERR_PAUSE.rawValue
    }

    private func dropBody(_ stream: HTTP2Stream) {
        queuedBytes -= stream.queuedBytes
        if let buffer = stream.takeBuffer() { library.giveBack(buffer) }
    }

    private func finish(_ slot: HTTP2Slot, _ flags: inout UInt32) {
        flags |= NGHTTP2_DATA_FLAG_EOF.rawValue
        guard let trailers = streams[slot].trailers else { return }
        let id = streams[slot].id
        let result = unsafe withFields(trailers) { fields, count in
            unsafe nghttp2_submit_trailer(raw, id, fields, count)
        }
        if result == 0 { flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM.rawValue }
    }

    /// Streams whose bodies have moved since the last call.
    func takeDrained(into slots: inout [HTTP2Slot]) {
        slots.removeAll(keepingCapacity: true)
        swap(&slots, &drained)
    }

    func frameSent(_ frame: nghttp2_frame_hd) {
        guard frame.flags & UInt8(NGHTTP2_FLAG_END_STREAM.rawValue) != 0 else { return }
        guard UInt32(frame.type) <= NGHTTP2_HEADERS.rawValue, let slot = slot(of: frame.stream_id) else { return }
        if streams[slot].stopsPeer { reset(slot, HTTP2ErrorCode.none) }
    }

    func goAwaySent(_ code: UInt32) {
        if code != HTTP2ErrorCode.none { hasAccusedPeer = true }
    }

    private func withFields(
        _ block: HeaderBlock, _ body: (UnsafePointer<nghttp2_nv>?, Int) -> Int32
    ) -> Int32 {
        var fields: [nghttp2_nv] = unsafe []
        unsafe swap(&fields, &self.fields)
        unsafe fields.removeAll(keepingCapacity: true)
        // The library copies names and values, the names in lower case.
        let result = block.text.withSpan { text in
            unsafe text.withUnsafeBufferPointer { buffer -> Int32 in
                guard let base = unsafe UnsafeMutablePointer(mutating: buffer.baseAddress) else { return -1 }
                for field in block.fields {
                    unsafe fields.append(
                        nghttp2_nv(
                            name: base + Int(field.name.start), value: base + Int(field.value.start),
                            namelen: Int(field.name.count), valuelen: Int(field.value.count), flags: 0))
                }
                return unsafe body(fields, fields.count)
            }
        }
        unsafe swap(&fields, &self.fields)
        return result
    }
}
