extension CertificateSurvey {
    /// When the next certificate begins to be valid; nil when all of them have.
    ///
    /// - Parameter now: seconds since the epoch.
    func nextStart(after now: Int64) -> Int64? {
        files.flatMap(\.certificates).map(\.notBefore).filter { $0 > now }.min()
    }

    /// A sentence for each certificate whose time is a matter of concern and no problem yet.
    ///
    /// - Parameter now: seconds since the epoch.
    package func timeWarnings(now: Int64, days: Int = CertificateSummary.warningDays) -> [String] {
        files.flatMap { file in
            file.certificates.compactMap { certificate in
                switch certificate.stage(now, days: days) {
                case .early, .over: file.role.isTrust ? file.remark(on: certificate, now, days: days) : nil
                case .fresh, .soon: file.remark(on: certificate, now, days: days)
                case nil: nil
                }
            }
        }
    }
}

extension CertificateSurvey.File {
    /// What is to be said of the time of one of its certificates; nil for nothing.
    func remark(
        on certificate: CertificateSummary, _ now: Int64, days: Int = CertificateSummary.warningDays
    ) -> String? {
        guard let stage = certificate.stage(now, days: days) else { return nil }
        let what = "\(certificate.subject) of \(path)"
        switch stage {
        case .early:
            return "\(what) is not valid before \(Timestamp.text(seconds: certificate.notBefore)), and the clock says "
                + Timestamp.text(seconds: now)
        case .fresh:
            return "\(what) is valid since \(now - certificate.notBefore) seconds only: a peer whose clock is slower "
                + "refuses it"
        case .soon:
            return "\(what) expires at \(Timestamp.text(seconds: certificate.notAfter)), in "
                + "\(TimeSpan.text(seconds: certificate.notAfter - now)): renew it"
        case .over:
            return "\(what) has expired at \(Timestamp.text(seconds: certificate.notAfter)): "
                + (role.isTrust ? "remove it" : "renew it")
        }
    }
}
