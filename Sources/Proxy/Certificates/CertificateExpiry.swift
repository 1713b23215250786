/// When a certificate that is in use stops being valid.
struct CertificateExpiry: Sendable, Equatable {
    let what: String
    let certificate: CertificateSummary

    /// Since the epoch.
    var seconds: Int64 { certificate.notAfter }

    /// - Parameter now: seconds since the epoch.
    func isSoon(_ now: Int64) -> Bool { certificate.stage(now) == .soon }
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
    /// Of each role that there is. A bundle may be long: find it once.
    var expiries: [CertificateRole: CertificateExpiry] {
        var found: [CertificateRole: CertificateExpiry] = [:]
        for role in CertificateRole.allCases { found[role] = expiry(of: role) }
        return found
    }

    /// When a role can no longer be played: a pair with the first certificate that vouches for it, a trust bundle with its
    /// last one. nil where there is nothing.
    func expiry(of role: CertificateRole) -> CertificateExpiry? {
        switch role {
        case .server: serverPair.min { $0.seconds < $1.seconds }
        case .client: clientPair.min { $0.seconds < $1.seconds }
        case .clientAuthorities: TLSMaterial.last(serverTrust, "the last authority that clients are verified with")
        case .serverAuthorities: TLSMaterial.last(clientTrust, "the last authority that servers are verified with")
        }
    }

    /// The first of all that is in use.
    ///
    /// - Parameter usesClient: connections to servers are made with TLS.
    func expiry(usesClient: Bool) -> CertificateExpiry? {
        CertificateRole.allCases.compactMap { role in
            switch role {
            case .server: expiry(of: role)
            case .clientAuthorities: server == nil ? nil : expiry(of: role)
            case .client, .serverAuthorities: usesClient ? expiry(of: role) : nil
            }
        }.min { $0.seconds < $1.seconds }
    }

    /// Of every certificate that a pair cannot do without.
    var pairExpiries: [CertificateExpiry] { serverPair + clientPair }

    private var serverPair: [CertificateExpiry] {
        server.map { TLSMaterial.path($0.chain, serverTrust, "the server certificate") } ?? []
    }

    private var clientPair: [CertificateExpiry] {
        client.map { TLSMaterial.path($0.chain, clientTrust, "the client certificate") } ?? []
    }

    /// The certificates by which a peer with this pod's trust anchors verifies a pair: other pods mostly trust what this
    /// one trusts. Of several ways to an anchor the one that lasts longest; without any, the pair's whole chain.
    private static func path(_ chain: [[UInt8]], _ anchors: [[UInt8]], _ what: String) -> [CertificateExpiry] {
        let own = chain.compactMap { CertificateHandle(der: $0)?.summary }.enumerated().map { index, summary in
            CertificateExpiry(
                what: index == 0 ? what : "\(summary.subject), an issuer of \(what),", certificate: summary)
        }
        let trusted = Set(anchors)
        var paths: [[CertificateExpiry]] = []
        for (index, der) in chain.enumerated() {
            let part = Array(own.prefix(index + 1))
            // The first trusted certificate is enough (X509_V_FLAG_PARTIAL_CHAIN).
            if trusted.contains(der) { paths.append(part) }
            guard let voucher = voucher(for: der, anchors) else { continue }
            let anchor = CertificateExpiry(
                what: "\(voucher.subject), the trust anchor of \(what),", certificate: voucher)
            paths.append(part + [anchor])
        }
        return paths.max { end(of: $0) < end(of: $1) } ?? own
    }

    private static func end(of path: [CertificateExpiry]) -> Int64 { path.map(\.seconds).min() ?? .max }

    /// The anchor that has issued a certificate; the one that lasts longest, where an authority was renewed.
    private static func voucher(for der: [UInt8], _ anchors: [[UInt8]]) -> CertificateSummary? {
        guard let certificate = CertificateHandle(der: der) else { return nil }
        return anchors.compactMap { anchor -> CertificateSummary? in
            guard let issuer = CertificateHandle(der: anchor), certificate.isIssued(by: issuer) else { return nil }
            return issuer.summary
        }.max { $0.notAfter < $1.notAfter }
    }

    private static func last(_ anchors: [[UInt8]], _ what: String) -> CertificateExpiry? {
        anchors.compactMap { CertificateHandle(der: $0)?.summary }.max { $0.notAfter < $1.notAfter }.map {
            CertificateExpiry(what: what, certificate: $0)
        }
    }
}
