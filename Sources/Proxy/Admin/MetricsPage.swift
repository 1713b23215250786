import COpenSSL

/// All metrics, at one moment. Each is there from the start, with every label it may have.
struct MetricsPage {
    let counters: Counters
    let expiries: [CertificateRole: CertificateExpiry]
    let reloads: ReloadStatus
    let droppedLogLines: UInt64
    /// By readers of `/flows`; the workers have their own count.
    let droppedFlows: UInt64
    let isReady: Bool
    let isDraining: Bool
    let version: String
    let process: ProcessUsage

    func text() -> [UInt8] {
        var text = MetricsText()
        writeInbound(to: &text)
        writeOutbound(to: &text)
        writeRequests(to: &text)
        writeConnections(to: &text)
        writeTLS(to: &text)
        writePlaintext(to: &text)
        writeSelf(to: &text)
        process.write(to: &text)
        return text.bytes
    }

    // MARK: names of old

    private func writeInbound(to text: inout MetricsText) {
        counter("tls_reloads_total", "Certificate reloads that took effect.", reloads.successes, &text)
        counter(
            "mtls_failures_total", "Inbound TLS handshakes that failed, most of them for want of a good certificate.",
            failures(.server), &text)
        counter("requests_total", "HTTP requests of peers.", counters.requests[Direction.inbound.index], &text)
    }

    private func writeOutbound(to text: inout MetricsText) {
        let out = Direction.outbound.index
        counter("outbound_requests_total", "HTTP requests of the application.", counters.requests[out], &text)
        counter(
            "outbound_request_failures_total",
            "HTTP requests of the application that ended without a whole answer of the destination.",
            counters.outboundFailures, &text)
        counter(
            "outbound_connect_success_total", "CONNECT requests whose connection was made.",
            counters.connects.successes,
            &text)
        counter(
            "outbound_connect_failure_total", "CONNECT requests that were refused or failed.",
            counters.connects.failures, &text)
        counter(
            "outbound_upgrade_success_total", "Upgrades that the application asked for and got.",
            counters.upgrades.successes, &text)
        counter(
            "outbound_upgrade_failure_total", "Upgrades that the application asked for in vain.",
            counters.upgrades.failures, &text)
        counter(
            "outbound_bytes_sent_total", "Bytes of the application's bodies and tunnels to destinations.",
            counters.requestBytes[out], &text)
        counter(
            "outbound_bytes_received_total", "Bytes of the destinations' bodies and tunnels to the application.",
            counters.responseBytes[out], &text)
        text.begin(
            "outbound_connect_duration_seconds", .histogram, "Time from a CONNECT request until its connection stood.")
        text.histogram(counters.connects.durations)
        text.begin(
            "outbound_upgrade_duration_seconds", .histogram, "Time from a request to upgrade until the upgrade stood.")
        text.histogram(counters.upgrades.durations)
    }

    // MARK: traffic

    private func writeRequests(to text: inout MetricsText) {
        text.begin("sidecar_requests_in_flight", .gauge, "HTTP requests that are not answered yet.")
        for direction in Direction.allCases {
            let began = counters.requests[direction.index]
            let ended = counters.requestsEnded[direction.index]
            text.sample(began > ended ? began - ended : 0, label(direction))
        }
        text.begin(
            "sidecar_request_duration_seconds", .histogram,
            "Time from a request's head until the end of its answer, or until its tunnel stood.")
        for direction in Direction.allCases {
            for status in StatusClass.allCases {
                text.histogram(
                    counters.durations[Counters.row(direction, status)], label(direction),
                    ("status_class", "\(status.name)"))
            }
        }
        byDirection(
            "sidecar_request_bytes_total", .counter, "Bytes of bodies and relayed connections from client to server.",
            counters.requestBytes, &text)
        byDirection(
            "sidecar_response_bytes_total", .counter, "Bytes of bodies and relayed connections from server to client.",
            counters.responseBytes, &text)
        text.begin("sidecar_upstream_errors_total", .counter, "Upstream connections and requests that failed.")
        for direction in Direction.allCases {
            for reason in UpstreamErrorReason.allCases {
                text.sample(
                    counters.upstreamErrors[Counters.row(direction, reason)], label(direction),
                    ("reason", "\(reason.name)"))
            }
        }
        counter(
            "sidecar_retries_total", "Requests that were sent again over another connection.", counters.retries, &text)
        counter(
            "sidecar_http2_violations_total",
            "HTTP/2 connections ended because the peer broke the protocol or flooded.",
            counters.http2Violations, &text)
    }

    private func writeConnections(to text: inout MetricsText) {
        text.begin(
            "sidecar_connections_ended_total", .counter,
            "Connections ended because their peer would be refused by now; cut are those of them that did not end in time."
        )
        text.sample(counters.peersExpired, ("reason", "expired"))
        text.sample(counters.peersDistrusted, ("reason", "trust_anchor_removed"))
        text.sample(counters.peersCut, ("reason", "cut"))
        byDirection(
            "sidecar_connections_opened_total", .counter, "Connections accepted.", counters.connections.opened, &text)
        byDirection(
            "sidecar_connections_open", .gauge, "Connections accepted and open.", counters.connections.open, &text)
        byDirection(
            "sidecar_upstream_connections_opened_total", .counter, "Connections made to applications and destinations.",
            counters.upstreamConnections.opened, &text)
        byDirection(
            "sidecar_upstream_connections_open", .gauge, "Connections made to applications and destinations, and open.",
            counters.upstreamConnections.open, &text)
        text.begin(
            "sidecar_upstream_connect_duration_seconds", .histogram,
            "Time to look up, connect and shake hands with an upstream.")
        for direction in Direction.allCases {
            text.histogram(counters.upstreamConnecting[direction.index], label(direction))
        }
        counter(
            "sidecar_connection_limit_reached_total",
            "How often a listener rested because MAX_CONNECTIONS were open.", counters.connectionLimitReached, &text)
    }

    // MARK: TLS

    private func writeTLS(to text: inout MetricsText) {
        bySide("sidecar_handshakes_total", "TLS handshakes done.", counters.handshakes, &text)
        bySide(
            "sidecar_handshakes_resumed_total", "TLS handshakes done that resumed a session.",
            counters.handshakesResumed, &text)
        text.begin("sidecar_handshake_failures_total", .counter, "TLS handshakes that failed.")
        for side in TLSSide.allCases {
            for reason in TLSError.Reason.allCases {
                text.sample(
                    counters.handshakeFailures[Counters.row(side, reason)], label(side), ("reason", reason.rawValue))
            }
        }
        counter(
            "sidecar_handshake_reports_dropped_total", "Failed handshakes that came too fast to be described.",
            counters.handshakeReportsDropped, &text)
        text.begin(
            "sidecar_tls_reload_failures_total", .counter,
            "Certificate reloads that were refused, the old ones staying in force; once for each reason.")
        for reason in CertificateProblem.Reason.allCases {
            text.sample(reloads.failuresByReason[reason] ?? 0, ("reason", reason.rawValue))
        }
        text.begin(
            "sidecar_tls_reload_failing", .gauge, "1 while the certificates that the directories hold cannot be loaded."
        )
        text.sample(UInt64(reloads.problems.isEmpty ? 0 : 1))
        text.begin(
            "sidecar_certificate_expiry_timestamp_seconds", .gauge,
            "When the certificates of a role expire: a pair with the first of its chain up to a trust anchor, trust anchors with their last."
        )
        for role in CertificateRole.allCases {
            guard let expiry = expiries[role] else { continue }
            text.sample(expiry.seconds, ("role", "\(role.name)"))
        }
    }

    private func writePlaintext(to text: inout MetricsText) {
        text.begin(
            "sidecar_plaintext_requests_total", .counter,
            "Requests and connections without TLS on captured inbound ports; ports that the application never answered on are other."
        )
        let plaintext = counters.plaintext
        for index in 0..<plaintext.portCount {
            write(plaintext.rows[index], "\(plaintext.rows[index].port)", to: &text)
        }
        write(plaintext.others, "other", to: &text)
    }

    private func write(_ row: PortCounters.Row, _ port: String, to text: inout MetricsText) {
        text.sample(row.allowed, ("port", port), ("verdict", "allowed"))
        text.sample(row.probes, ("port", port), ("verdict", "probe"))
        text.sample(row.refused, ("port", port), ("verdict", "refused"))
    }

    // MARK: the process

    private func writeSelf(to text: inout MetricsText) {
        text.begin("sidecar_ready", .gauge, "1 when the pod should get traffic, as far as this process can tell.")
        text.sample(UInt64(isReady ? 1 : 0))
        text.begin("sidecar_draining", .gauge, "1 when clients are asked to go.")
        text.sample(UInt64(isDraining ? 1 : 0))
        counter(
            "sidecar_log_lines_dropped_total", "Lines of the log that a slow reader has cost.", droppedLogLines, &text)
        counter(
            "sidecar_flow_lines_dropped_total", "Lines that slow readers of /flows have lost.",
            droppedFlows + counters.flowsDropped, &text)
        text.begin("sidecar_build_info", .gauge, "What runs, in labels; the value is 1.")
        let openssl = unsafe OpenSSL_version(OPENSSL_VERSION_STRING).map { unsafe String(cString: $0) } ?? "unknown"
        text.sample(UInt64(1), ("version", version), ("openssl", openssl))
    }

    // MARK: shapes

    private func failures(_ side: TLSSide) -> UInt64 {
        TLSError.Reason.allCases.reduce(0) { $0 + counters.handshakeFailures[Counters.row(side, $1)] }
    }

    private func counter(_ name: StaticString, _ help: StaticString, _ value: UInt64, _ text: inout MetricsText) {
        text.begin(name, .counter, help)
        text.sample(value)
    }

    private func byDirection(
        _ name: StaticString, _ kind: MetricsText.Kind, _ help: StaticString, _ values: [2 of UInt64],
        _ text: inout MetricsText
    ) {
        text.begin(name, kind, help)
        for direction in Direction.allCases { text.sample(values[direction.index], label(direction)) }
    }

    private func bySide(_ name: StaticString, _ help: StaticString, _ values: [2 of UInt64], _ text: inout MetricsText)
    {
        text.begin(name, .counter, help)
        for side in TLSSide.allCases { text.sample(values[side.index], label(side)) }
    }

    private func label(_ direction: Direction) -> MetricsText.Label { ("direction", "\(direction.name)") }
    private func label(_ side: TLSSide) -> MetricsText.Label { ("side", "\(side.name)") }
}
