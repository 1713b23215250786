/// What is known of a stream besides what libnghttp2 knows, and the part of its body that waits to be sent.
final class HTTP2Stream {
    var id: Int32 = 0
    var isUsed = false
    /// The bytes that wait, and some that have been sent already; nil when none wait.
    private var outgoing: ByteWriter?
    private var sent = 0
    var hasEnded = false
    /// The library has asked in vain and waits to be told of more.
    var isDeferred = false
    var trailers: HeaderBlock?
    /// Received bytes that count against the window.
    var unconsumed = 0
    /// The peer's rest is not wanted once everything is sent.
    var stopsPeer = false
    var hasHead = false
    /// Both sides are done with it; its events may still wait to be worked off.
    var isClosed = false

    /// Body bytes that wait for the peer's window or the socket.
    var queuedBytes: Int { (outgoing?.count ?? 0) - sent }

    /// - Parameter spare: makes the buffer of a stream that has none.
    func append(_ payload: Span<UInt8>, spare: () -> ByteWriter) {
        let body = outgoing ?? spare()
        outgoing = body
        // A body that never drains whole is moved down now and then.
        if sent > HTTP2Bounds.deadBytes {
            body.removeFirst(sent)
            sent = 0
        }
        body.append(payload)
    }

    /// Moves the next bytes of the body, of those that wait.
    func move(_ count: Int, to output: ByteWriter) {
        outgoing?.withSpan { output.append($0.extracting(sent..<sent + count)) }
        sent += count
    }

    /// Gives up the buffer, with all that waits in it.
    func takeBuffer() -> ByteWriter? {
        sent = 0
        return outgoing.take()
    }

    /// Ready for another, once the buffer is taken.
    func reset() {
        isUsed = false
        hasEnded = false
        isDeferred = false
        trailers = nil
        unconsumed = 0
        stopsPeer = false
        hasHead = false
        isClosed = false
    }
}
