import CertTool
package import Proxy

/// How much of a certificate's life is over.
package enum LifePhase {
    /// Whether it is time for a new one: two thirds of the life have passed, counted from the day of issue, or the clock
    /// stands before it.
    ///
    /// - Parameter now: seconds since the epoch.
    package static func isDue(_ certificate: CertificateSummary, at now: Int64) -> Bool {
        let issued = certificate.notBefore + CertificateAuthority.backdatingSeconds
        let life = max(0, certificate.notAfter - issued)
        return now < certificate.notBefore || now >= certificate.notAfter - life / 3
    }
}
