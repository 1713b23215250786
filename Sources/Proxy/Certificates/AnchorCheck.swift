/// What is to be said of a file of trust anchors; what the time says of each of them is for the warnings of all files.
struct AnchorCheck {
    /// As messages name it.
    let file: String
    /// Seconds since the epoch.
    let now: Int64

    /// Parsing is what costs, and a bundle may be long: each is looked at once.
    struct Anchor {
        let summary: CertificateSummary
        let isAuthority: Bool

        init?(der: [UInt8]) {
            guard let certificate = CertificateHandle(der: der) else { return nil }
            summary = certificate.summary
            isAuthority = certificate.isAuthority
        }
    }

    /// One that is valid now must be among them.
    func fault(of anchors: [Anchor]) -> CertificateProblem? {
        if let last = anchors.map(\.summary.notAfter).max(), last < now {
            return CertificateProblem(
                .expired,
                "every certificate of \(file) has expired, the last at \(Timestamp.text(seconds: last)): renew the "
                    + "authority")
        }
        guard !anchors.contains(where: { $0.summary.notBefore <= now && now <= $0.summary.notAfter }),
            let first = anchors.map(\.summary.notBefore).filter({ $0 > now }).min()
        else { return nil }
        return CertificateProblem(
            .notYetValid,
            "no certificate of \(file) is valid before \(Timestamp.text(seconds: first)), and the clock says "
                + "\(Timestamp.text(seconds: now)): set the clock, or wait")
    }

    /// A sentence for each that is legal and seldom meant.
    func warnings(of anchors: [Anchor]) -> [String] {
        anchors.filter { !$0.isAuthority }.map {
            "\($0.summary.subject) of \(file) is not the certificate of an authority: it vouches for itself only"
        }
    }
}
