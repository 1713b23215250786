/// What one HTTP service holds and waits for at most.
package struct HTTPServiceLimits: Sendable {
    /// Connections at once; more wait in the kernel's backlog.
    package var connections: Int
    package var headBytes = 8_192
    /// Of one request.
    package var bodyBytes: Int
    /// Of all requests that are coming in at the same time.
    package var totalBodyBytes = 32 << 20
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
