import NetSetup
import Proxy

/// Whether the clock can be right.
enum ClockCheck {
    /// Seconds since the epoch.
    private static let firstOf2025: Int64 = 1_735_689_600
    private static let firstOf2100: Int64 = 4_102_444_800

    static func findings(now: Int64) -> [Diagnosis] {
        let fix = "set the clock of the node (chrony, systemd-timesyncd): certificates are valid for a time only"
        let text = Timestamp.text(seconds: now)
        if now < firstOf2025 { return [.problem(.clock, "the clock says \(text), which is long ago", fix: fix)] }
        if now >= firstOf2100 { return [.problem(.clock, "the clock says \(text), which is far ahead", fix: fix)] }
        return [.ok(.clock, "the clock says \(text)")]
    }
}

/// Whether the proxy could start with the certificates that are there now, and how long they last.
enum CertificateCheck {
    static func findings(_ configuration: Configuration, now: Int64) -> [Diagnosis] {
        let survey = CertificateSurvey.take(CertificateSource(configuration), now: now)
        guard let material = survey.material else {
            return survey.problems.map {
                .problem(
                    .certificates, $0.sentence, fix: "put right files there (a Secret, or the issuer that writes it)")
            }
        }
        let anchors: Diagnosis = .ok(
            .certificates,
            "trust anchors: \(material.serverTrust.count) to verify clients, \(material.clientTrust.count) to verify servers"
        )
        let warnings = (survey.warnings + survey.timeWarnings(now: now)).map {
            Diagnosis.warning(.certificates, $0, fix: "see docs/certificates.md, and `sidecar certs check`")
        }
        return warnings + describe(material.server, "server") + describe(material.client, "client") + [anchors]
    }

    private static func describe(_ pair: Credentials?, _ role: String) -> [Diagnosis] {
        guard let leaf = pair?.leaf else { return [] }
        let end = Timestamp.text(seconds: leaf.notAfter)
        return [.ok(.certificates, "the \(role) certificate (\(leaf.displayName)) is valid until \(end)")]
    }
}
