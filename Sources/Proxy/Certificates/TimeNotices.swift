/// Says of each certificate in force once what its time is: too fresh for slow clocks, soon over, over.
struct TimeNotices {
    private struct Said: Hashable {
        /// Of the certificate.
        let hash: [UInt8]
        let stage: LifeStage
    }

    private var said: Set<Said> = []

    /// What has not been said yet, a sentence each.
    ///
    /// - Parameter now: seconds since the epoch.
    mutating func take(_ files: [CertificateSurvey.File], now: Int64) -> [String] {
        var notices: [String] = []
        var current: Set<Said> = []
        for file in files {
            for certificate in file.certificates {
                guard let stage = certificate.stage(now), let notice = file.remark(on: certificate, now) else {
                    continue
                }
                let saying = Said(hash: certificate.sha256, stage: stage)
                // One certificate may stand in several files.
                guard current.insert(saying).inserted, !said.contains(saying) else { continue }
                notices.append(notice)
            }
        }
        said = current
        return notices
    }
}
