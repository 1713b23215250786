/// Bytes that the kernel has not taken yet, in order. Empty, it holds no memory.
struct Backlog {
    private var bytes: [UInt8] = []
    private var start = 0

    var count: Int { bytes.count - start }
    var isEmpty: Bool { bytes.isEmpty }

    mutating func append(_ more: Span<UInt8>) {
        guard !more.isEmpty else { return }
        unsafe more.withUnsafeBufferPointer { unsafe bytes.append(contentsOf: $0) }
    }

    /// The first so many bytes have been sent.
    mutating func removeFirst(_ count: Int) {
        start += count
        if start == bytes.count {
            self = Backlog()
        } else if start > bytes.count / 2 {
            // Moved down only when the dead part outweighs the living, so that a slow reader costs no copying.
            bytes.removeFirst(start)
            start = 0
        }
    }

    func withSpan<Result>(_ body: (Span<UInt8>) -> Result) -> Result { body(bytes.span.extracting(start...)) }
}
