/// A request as it came, while it may have to be sent again.
struct Replay {
    /// In HTTP/1.1's form, whatever the request came by.
    private(set) var head: [UInt8] = []
    private(set) var body: [UInt8] = []
    private(set) var isHTTP2 = false
    private(set) var hasNoBody = false
    private var limit = 0
    /// Everything that was sent is here.
    private(set) var isComplete = false

    mutating func begin() {
        if isComplete { drop() }
    }

    mutating func keep(_ head: borrowing RequestHead, _ bytes: Span<UInt8>, limit: Int) {
        drop()
        self.limit = limit
        isComplete = head.byteCount <= limit
        guard isComplete else { return }
        isHTTP2 = head.isHTTP2
        hasNoBody = head.framing == .none || head.framing == .length(0)
        unsafe bytes.extracting(0..<head.byteCount).withUnsafeBufferPointer {
            unsafe self.head.append(contentsOf: $0)
        }
    }

    mutating func append(_ payload: Span<UInt8>) {
        guard isComplete else { return }
        guard head.count + body.count + payload.count <= limit else { return drop() }
        unsafe payload.withUnsafeBufferPointer { unsafe body.append(contentsOf: $0) }
    }

    /// Nothing is sent again from here on. Small storage is kept for the next request.
    mutating func drop() {
        isComplete = false
        if !head.isEmpty { head.removeAll(keepingCapacity: head.capacity <= 2_048) }
        if !body.isEmpty { body.removeAll(keepingCapacity: body.capacity <= 2_048) }
    }
}
