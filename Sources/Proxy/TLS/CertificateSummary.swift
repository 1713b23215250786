package import Addressing

/// What a certificate says, as values.
package struct CertificateSummary: Sendable, Equatable {
    /// Distinguished names as RFC 2253 text, escaped.
    package var subject = ""
    package var issuer = ""
    package var commonName: String?
    package var dnsNames: [String] = []
    package var uriNames: [String] = []
    package var addresses: [IPAddress] = []
    /// `0x` and lower-case hex.
    package var serial = ""
    /// Seconds since the epoch.
    package var notBefore: Int64 = 0
    package var notAfter: Int64 = 0
    package var sha256: [UInt8] = []

    /// How logs name the holder: URI name, else DNS name, else subject.
    package var displayName: String { uriNames.first ?? dnsNames.first ?? subject }
}
