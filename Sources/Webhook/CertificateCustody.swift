package import CertTool
package import Proxy

/// The webhook's authority and certificate as they stand in its Secret.
package struct CertificateCustody: Sendable {
    package let authority: CertificateAuthority
    /// As DER: the one that issues first, then those that issued before it and may still vouch for a certificate in use.
    package let anchors: [[UInt8]]
    package let credentials: Credentials

    /// Reads a Secret; nil where anything is missing, damaged, or does not fit together.
    package init?(_ secret: SecretObject) {
        guard let bundle = secret.data("ca.crt"), let anchors = PEM.certificates(bundle),
            let key = secret.data("ca.key"),
            let authority = try? CertificateAuthority(CertificatePair(certificate: bundle, key: key)),
            let pair = secret.pair("tls.crt", "tls.key"),
            let credentials = try? Credentials(certificate: pair.certificate, key: pair.key)
        else { return nil }
        guard anchors.contains(where: { credentials.isIssued(by: $0) }) else { return nil }
        self.authority = authority
        self.anchors = anchors
        self.credentials = credentials
    }

    // MARK: what to do

    package enum Step: Equatable, Sendable {
        /// It is good as it is.
        case use
        /// Everything anew: nothing usable is there.
        case begin
        /// A new authority beside the old one, whose certificate stays in use until the API server trusts both.
        case renewAuthority
        case renewLeaf(reason: String)
    }

    /// - Parameters:
    ///   - found: what stands in the Secret.
    ///   - trusted: the anchors that have been in the registration's caBundle for a while.
    ///   - now: seconds since the epoch.
    package static func step(
        _ found: CertificateCustody?, for serverName: String, trusted: [[UInt8]], at now: Int64
    ) -> Step {
        guard let found, let newest = found.anchors.first, let issuer = CertificateSummary(der: newest),
            issuer.notAfter > now
        else { return .begin }
        if LifePhase.isDue(issuer, at: now) { return .renewAuthority }
        let leaf = found.credentials.leaf
        if !leaf.dnsNames.contains(serverName) { return .renewLeaf(reason: "the names are others") }
        if found.credentials.isIssued(by: newest) {
            return LifePhase.isDue(leaf, at: now) ? .renewLeaf(reason: "two thirds of the life are over") : .use
        }
        if trusted.contains(newest) { return .renewLeaf(reason: "the authority has been renewed") }
        return leaf.notAfter <= now ? .renewLeaf(reason: "the life is over") : .use
    }

    // MARK: what is written

    /// The whole content of a new Secret.
    static func fresh(_ own: OwnCertificate, at now: Int64) throws(IssuingError) -> [(key: String, bytes: [UInt8])] {
        let authority = try makeAuthority(own, at: now)
        return [("ca.crt", authority.pair.certificate), ("ca.key", authority.pair.key)]
            + (try leaf(own, authority, at: now))
    }

    /// A new authority before the old ones that are still valid.
    func renewedAuthority(_ own: OwnCertificate, at now: Int64) throws(IssuingError) -> [(key: String, bytes: [UInt8])]
    {
        let fresh = try CertificateCustody.makeAuthority(own, at: now)
        let old = anchors.filter { CertificateSummary(der: $0).map { $0.notAfter > now } ?? false }
        let bundle = fresh.pair.certificate + old.flatMap { PEM.text(ofCertificate: $0) }
        return [("ca.crt", bundle), ("ca.key", fresh.pair.key)]
    }

    func renewedLeaf(_ own: OwnCertificate, at now: Int64) throws(IssuingError) -> [(key: String, bytes: [UInt8])] {
        try CertificateCustody.leaf(own, authority, at: now)
    }

    private static func makeAuthority(_ own: OwnCertificate, at now: Int64) throws(IssuingError) -> CertificateAuthority
    {
        try CertificateAuthority.make(
            commonName: "sidecar webhook", organization: "sidecar", lifetimeSeconds: own.authoritySeconds, now: now)
    }

    private static func leaf(
        _ own: OwnCertificate, _ authority: CertificateAuthority, at now: Int64
    ) throws(IssuingError) -> [(key: String, bytes: [UInt8])] {
        let service = "\(own.service).\(own.namespace)"
        // A leaf does not outlive its issuer.
        let end = PEM.certificates(authority.pair.certificate)?.first.flatMap(CertificateSummary.init(der:))?.notAfter
        let pair = try authority.issue(
            CertificateTemplate(
                commonName: "sidecar webhook",
                names: [.dns(own.serverName), .dns(service), .dns("\(own.serverName).cluster.local")], usage: .server,
                lifetimeSeconds: min(own.leafSeconds, (end ?? .max) - now)),
            now: now)
        return [("tls.crt", pair.certificate), ("tls.key", pair.key)]
    }
}
