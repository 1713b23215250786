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

    /// Subject and issuer are the same (RFC 5280 section 3.2).
    package var isSelfIssued: Bool { subject == issuer }

    package var names: [String] { uriNames + dnsNames + addresses.map(\.description) }

    /// One URI or DNS name matches one glob; case matters in URIs only (RFC 4343).
    func hasName(matching globs: [String]) -> Bool {
        globs.contains { glob in
            uriNames.contains { Glob.matches(glob, $0) }
                || dnsNames.contains { Glob.matches(glob.lowercased(), $0.lowercased()) }
        }
    }
}
