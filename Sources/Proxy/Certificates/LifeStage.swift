/// Where a certificate is in its life, where anybody should hear of it.
enum LifeStage {
    /// Not valid yet.
    case early
    /// Issued so shortly before that it is refused where a clock is slow.
    case fresh
    /// It should have been renewed.
    case soon
    case over
}

extension CertificateSummary {
    private static let freshSeconds: Int64 = 60
    /// Whoever renews by a calendar has done so by then.
    package static let warningDays = 30

    /// nil in the best years of its life.
    ///
    /// Soon is when fewer than the given days are left, and less than a fifth of its life: a certificate of one day is
    /// not renewed thirty days before its end, and whoever renews at a third of its life, as is usual, has done so.
    ///
    /// - Parameter now: seconds since the epoch.
    func stage(_ now: Int64, days: Int = warningDays) -> LifeStage? {
        let (age, rest) = (now - notBefore, notAfter - now)
        if age < 0 { return .early }
        if rest < 0 { return .over }
        if rest < Int64(days) * 86_400, rest < (notAfter - notBefore) / 5 { return .soon }
        return age < CertificateSummary.freshSeconds ? .fresh : nil
    }
}
