/// Says of each certificate in force once that it will expire soon, and once that it has.
struct ExpiryNotice {
    private enum Stage { case soon, over }

    /// By the certificate's hash.
    private var said: [[UInt8]: Stage] = [:]

    mutating func notices(_ pairs: [MaterialStatus.InForce], now: Int64) -> [String] {
        var notices: [String] = []
        var current: [[UInt8]: Stage] = [:]
        for pair in pairs {
            let certificate = pair.certificate
            let end = Timestamp.text(seconds: certificate.notAfter)
            let stage: Stage? = certificate.notAfter < now ? .over : certificate.expiresSoon(now) ? .soon : nil
            guard let stage else { continue }
            current[certificate.sha256] = stage
            guard said[certificate.sha256] != stage else { continue }
            switch stage {
            case .soon:
                let rest = TimeSpan.text(seconds: certificate.notAfter - now)
                notices.append("the \(pair.role) certificate in force expires at \(end), in \(rest): renew it")
            case .over: notices.append("the \(pair.role) certificate in force expired at \(end): renew it")
            }
        }
        said = current
        return notices
    }
}
