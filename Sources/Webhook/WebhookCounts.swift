import Proxy

/// What the webhook has done since the start.
struct WebhookCounts {
    private var verdicts = [UInt64](repeating: 0, count: AdmissionVerdict.Outcome.allCases.count)
    private var malformed: UInt64 = 0
    private var durations = Histogram()
    var handshakeFailures: UInt64 = 0
    var certificateReloads: UInt64 = 0
    /// Looks at the cluster that did not end well.
    var checkFailures: UInt64 = 0

    mutating func record(_ outcome: AdmissionVerdict.Outcome, microseconds: Int64) {
        for (index, known) in AdmissionVerdict.Outcome.allCases.enumerated() where known == outcome {
            verdicts[index] += 1
        }
        durations.record(microseconds)
    }

    mutating func recordMalformed() { malformed += 1 }

    /// In Prometheus' text format.
    ///
    /// - Parameter expiry: of the certificate in force, seconds since the epoch.
    func page(isReady: Bool, expiry: Int64?, version: String) -> [UInt8] {
        var text = MetricsText()
        text.begin("sidecar_webhook_reviews_total", .counter, "Admission reviews answered, by what was said to them.")
        for (index, outcome) in AdmissionVerdict.Outcome.allCases.enumerated() {
            text.sample(verdicts[index], ("outcome", outcome.rawValue))
        }
        text.sample(malformed, ("outcome", "malformed"))
        text.begin(
            "sidecar_webhook_review_duration_seconds", .histogram,
            "Time from a whole review to the answer, without TLS.")
        text.histogram(durations)
        text.begin("sidecar_webhook_handshake_failures_total", .counter, "TLS handshakes of clients that failed.")
        text.sample(handshakeFailures)
        text.begin(
            "sidecar_webhook_certificate_reloads_total", .counter, "Certificates taken into force after the first.")
        text.sample(certificateReloads)
        text.begin("sidecar_webhook_check_failures_total", .counter, "Looks at the cluster's objects that failed.")
        text.sample(checkFailures)
        text.begin(
            "sidecar_webhook_certificate_expiry_timestamp_seconds", .gauge,
            "When the certificate in force expires; 0 for none.")
        text.sample(expiry ?? 0)
        text.begin("sidecar_webhook_ready", .gauge, "1 when /ready answers 200.")
        text.sample(UInt64(isReady ? 1 : 0))
        text.begin("sidecar_build_info", .gauge, "Always 1; the version is a label.")
        text.sample(UInt64(1), ("version", version))
        ProcessUsage.now().write(to: &text)
        return text.bytes
    }
}
