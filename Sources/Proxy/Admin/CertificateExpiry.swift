/// When a certificate that is in use stops being valid.
struct CertificateExpiry: Sendable, Equatable {
    let what: String
    /// Since the epoch.
    let seconds: Int64
}

/// What the certificates in force are for.
enum CertificateRole: CaseIterable {
    case server, client, clientAuthorities, serverAuthorities

    /// A label of a metric.
    var name: StaticString {
        switch self {
        case .server: "server"
        case .client: "client"
        case .clientAuthorities: "client_ca"
        case .serverAuthorities: "server_ca"
        }
    }
}

extension TLSMaterial {
    /// When a role can no longer be played: a pair with the first certificate of its chain that expires, a trust
    /// bundle with its last one. nil where there is nothing.
    func expiry(of role: CertificateRole) -> CertificateExpiry? {
        switch role {
        case .server: server.flatMap { TLSMaterial.first($0.chain, "the server certificate") }
        case .client: client.flatMap { TLSMaterial.first($0.chain, "the client certificate") }
        case .clientAuthorities: TLSMaterial.last(serverTrust, "the last authority that clients are verified with")
        case .serverAuthorities: TLSMaterial.last(clientTrust, "the last authority that servers are verified with")
        }
    }

    /// The first of all.
    var expiry: CertificateExpiry? {
        CertificateRole.allCases.compactMap { role in
            // Trust that nobody needs is no reason to stop.
            switch role {
            case .clientAuthorities where server == nil, .serverAuthorities where client == nil: nil
            case .server, .client, .clientAuthorities, .serverAuthorities: expiry(of: role)
            }
        }.min { $0.seconds < $1.seconds }
    }

    private static func first(_ chain: [[UInt8]], _ what: String) -> CertificateExpiry? {
        let summaries = chain.compactMap { CertificateHandle(der: $0)?.summary }
        guard let first = summaries.min(by: { $0.notAfter < $1.notAfter }) else { return nil }
        let isLeaf = first == summaries.first
        return CertificateExpiry(
            what: isLeaf ? what : "\(first.subject), an issuer of \(what),", seconds: first.notAfter)
    }

    private static func last(_ anchors: [[UInt8]], _ what: String) -> CertificateExpiry? {
        anchors.compactMap { CertificateHandle(der: $0)?.summary.notAfter }.max().map {
            CertificateExpiry(what: what, seconds: $0)
        }
    }
}
