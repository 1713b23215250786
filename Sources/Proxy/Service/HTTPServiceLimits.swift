/// What one HTTP service holds and waits for at most.
package struct HTTPServiceLimits: Sendable {
    /// Connections at once; one more takes the place of the one whose client has been silent the longest, or, when more
    /// than half of them wait for answers, of the one that has waited the longest.
    package var connections: Int
    package var headBytes = 8_192
    /// Of one request.
    package var bodyBytes: Int
    /// Of all bodies that are coming in and answers that wait to be taken, at the same time.
    package var totalBytes = 32 << 20
    /// Answers that wait for a client that does not read: beyond it, no further request of it is answered.
    package var queuedBytes = 65_536
    /// A request may come in chunks, of which nobody knows how many there will be.
    package var takesChunks = false
    /// From the first byte of a request to its answer.
    package var requestMicroseconds: Int64 = 10_000_000
    /// From an answer to the next request.
    package var idleMicroseconds: Int64 = 10_000_000

    package init(connections: Int, bodyBytes: Int) {
        self.connections = connections
        self.bodyBytes = bodyBytes
    }
}
