/// One pair: the leaf with its chain, and the key, as DER. Checked when made; never an OpenSSL object, so it can go to
/// every thread.
package struct Credentials: Sendable, Equatable {
    /// The leaf first.
    package let chain: [[UInt8]]
    package let privateKey: [UInt8]
    package let leaf: CertificateSummary
}

/// Everything that TLS presents and trusts, as one immutable value.
package struct TLSMaterial: Sendable {
    package var server: Credentials?
    package var client: Credentials?
    /// Verify clients, and servers: DER, sorted, without duplicates.
    package var serverTrust: [[UInt8]]
    package var clientTrust: [[UInt8]]
    /// Random bytes that the workers encrypt session tickets with, so that a session resumes at any of them.
    package var ticketKeys: [UInt8]

    static let ticketKeyBytes = 80
    /// How long keys are used: who steals them can read the early traffic of no more sessions than that (RFC 8446
    /// appendix C.4 and F.1). Sessions of older keys get a full handshake, and a new ticket.
    static let ticketKeyMicroseconds: Int64 = 12 * 3_600 * 1_000_000

    static func makeTicketKeys() -> [UInt8] {
        var random = SystemRandomNumberGenerator()
        return (0..<ticketKeyBytes).map { _ in UInt8.random(in: .min ... .max, using: &random) }
    }
}
