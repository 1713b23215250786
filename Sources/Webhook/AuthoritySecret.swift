import CertTool
import Proxy

/// An authority as it stands in a Secret: ca.crt with older ones after it, and ca.key.
struct AuthoritySecret {
    let authority: CertificateAuthority
    /// PEM, what peers are to trust.
    let bundle: [UInt8]
    /// As DER; the one that issues first.
    let anchors: [[UInt8]]
    private let own: CertificateSummary

    /// - Parameter place: for the message, since a damaged authority is nobody's to replace but its owner's.
    init(_ secret: SecretObject, _ place: String) throws(IssuingError) {
        guard let bundle = secret.data("ca.crt"), let key = secret.data("ca.key") else {
            throw IssuingError(
                sentence:
                    "\(place) holds no ca.crt with ca.key: it is not this command's; delete it, or choose another namespace"
            )
        }
        do throws(IssuingError) {
            authority = try CertificateAuthority(CertificatePair(certificate: bundle, key: key))
        } catch {
            throw IssuingError(sentence: "\(place): \(error.sentence); delete it to have a new authority made")
        }
        guard let anchors = PEM.certificates(bundle), let own = anchors.first.flatMap(CertificateSummary.init(der:))
        else {
            throw IssuingError(sentence: "\(place): ca.crt is damaged; delete it to have a new authority made")
        }
        self.bundle = bundle
        self.anchors = anchors
        self.own = own
    }

    /// Seconds since the epoch.
    var expiry: Int64 { own.notAfter }

    func isDue(at now: Int64) -> Bool { LifePhase.isDue(own, at: now) }

    /// The new authority before those that are still valid: peers that have not been restarted yet show certificates of
    /// the old.
    func renewed(by fresh: CertificateAuthority, at now: Int64) -> [(key: String, bytes: [UInt8])] {
        let old = anchors.filter { CertificateSummary(der: $0).map { $0.notAfter > now } ?? false }
        return [
            ("ca.crt", fresh.pair.certificate + old.flatMap { PEM.text(ofCertificate: $0) }),
            ("ca.key", fresh.pair.key),
        ]
    }
}
