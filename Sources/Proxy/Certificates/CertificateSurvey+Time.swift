extension CertificateSurvey {
    /// A certificate that was issued so shortly before is refused where a clock is slow.
    private static let freshSeconds: Int64 = 60

    /// When the next certificate begins to be valid; nil when all of them have.
    ///
    /// - Parameter now: seconds since the epoch.
    func nextStart(after now: Int64) -> Int64? {
        files.flatMap(\.certificates).map(\.notBefore).filter { $0 > now }.min()
    }

    /// A sentence for each certificate that ends soon, or has begun so lately that a slow clock refuses it.
    ///
    /// Soon is when fewer than the given days are left, and less than a third of its life: a certificate of one day is
    /// not renewed thirty days before its end.
    ///
    /// - Parameter now: seconds since the epoch.
    package func timeWarnings(now: Int64, days: Int) -> [String] {
        files.flatMap { file in
            file.certificates.compactMap { certificate in
                let rest = certificate.notAfter - now
                let life = certificate.notAfter - certificate.notBefore
                if rest >= 0, rest < Int64(days) * 86_400, rest < life / 3 {
                    return "\(certificate.subject) of \(file.path) expires at "
                        + "\(Timestamp.text(seconds: certificate.notAfter)), in \(TimeSpan.text(seconds: rest)): renew it"
                }
                let age = now - certificate.notBefore
                guard age >= 0, age < CertificateSurvey.freshSeconds else { return nil }
                return
                    "\(certificate.subject) of \(file.path) is valid since \(age) seconds only: a peer whose clock is "
                    + "slower refuses it"
            }
        }
    }
}
