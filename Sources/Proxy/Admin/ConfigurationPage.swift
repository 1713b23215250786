import Addressing

/// The answer of `/config`: each variable with the value in force, as it could be set.
extension Configuration {
    func document() -> JSONWriter {
        var json = JSONWriter()
        json.object { json in
            for (name, value) in effective { json.field(name, value) }
        }
        return json
    }

    /// Names and values.
    package var effective: [(String, String)] {
        inboundVariables + captureVariables + outboundVariables + [
            ("SERVER_CERT_DIR", tls.directories.server), ("CLIENT_CERT_DIR", tls.directories.client),
            ("CA_DIR", tls.directories.ca), ("TLS_MIN_VERSION", tls.minimumVersion == .v1_3 ? "1.3" : "1.2"),
            ("PEER_EXPIRY_CHECK", "\(tls.checksPeerExpiry)"), ("MONITOR_PORT", "\(monitor.port ?? 0)"),
            ("ENABLE_METRICS", "\(monitor.hasMetrics)"), ("APP_PROBES", appProbes.document),
            ("UPSTREAM_READINESS_URL", monitor.upstreamReadiness?.redacted ?? ""),
            ("READINESS_TIMEOUT_SECS", "\(monitor.readinessTimeout)"), ("LOG_LEVEL", log.level.rawValue),
            ("LOG_FORMAT", log.format.rawValue), ("ACCESS_LOG", log.accessLog.rawValue),
            ("WORKER_THREADS", "\(workerThreads)"), ("MAX_CONNECTIONS", "\(maxConnections)"),
            ("MAX_HEADER_BYTES", "\(maxHeaderBytes)"), ("HANDSHAKE_TIMEOUT_SECS", "\(timeouts.handshake)"),
            ("HEADER_TIMEOUT_SECS", "\(timeouts.header)"), ("IDLE_TIMEOUT_SECS", "\(timeouts.idle)"),
            ("CONNECT_TIMEOUT_SECS", "\(timeouts.connect)"), ("RESPONSE_TIMEOUT_SECS", "\(timeouts.response)"),
            ("SHUTDOWN_TIMEOUT_SECS", "\(timeouts.shutdown)"), ("POD_NAME", pod.name),
            ("POD_NAMESPACE", pod.namespace), ("SANDBOX", "\(isSandboxed)"),
        ]
    }

    private var inboundVariables: [(String, String)] {
        [
            ("TLS_LISTEN_PORT", inbound.listenPort.map { "\($0)" } ?? ""),
            (
                "UPSTREAM_URL",
                "\(inbound.upstream.scheme.rawValue)://\(inbound.upstream.authority)\(inbound.upstream.basePath)"
            ),
            ("UPSTREAM_PROTOCOL", inbound.upstreamProtocol.rawValue),
            ("INJECT_CLIENT_HEADERS", inbound.identityHeaders.isEmpty ? "false" : inbound.identityHeaders.names),
            ("PRESERVE_HOST", inbound.preserveHost.map { "\($0)" } ?? "unset"),
            ("INBOUND_PLAINTEXT", inbound.plaintext.rawValue), ("PRESERVE_SOURCE_IP", "\(inbound.preserveSourceIP)"),
        ]
    }

    private var captureVariables: [(String, String)] {
        [
            ("TRANSPARENT", "\(capture.isTransparent)"), ("INBOUND_CAPTURE_PORT", "\(capture.inboundPort)"),
            ("OUTBOUND_CAPTURE_PORT", "\(capture.outboundPort)"),
            ("INCLUDE_INBOUND_PORTS", "\(capture.includeInboundPorts)"),
            ("EXCLUDE_INBOUND_PORTS", "\(capture.excludeInboundPorts)"),
            ("INCLUDE_OUTBOUND_CIDRS", Configuration.text(capture.includeOutboundCIDRs)),
            ("EXCLUDE_OUTBOUND_CIDRS", Configuration.text(capture.excludeOutboundCIDRs)),
            ("INCLUDE_OUTBOUND_PORTS", "\(capture.includeOutboundPorts)"),
            ("EXCLUDE_OUTBOUND_PORTS", "\(capture.excludeOutboundPorts)"),
            ("EXCLUDE_OUTBOUND_UIDS", capture.excludeOutboundUIDs.map(String.init).joined(separator: ",")),
            ("PROXY_UID", "\(capture.proxyUID)"), ("CAPTURE_MARK", "\(capture.captureMark)"),
            ("PROXY_MARK", "\(capture.proxyMark)"), ("CAPTURE_TABLE", "\(capture.routingTable)"),
        ]
    }

    private var outboundVariables: [(String, String)] {
        let verify: String =
            switch outbound.verify {
            case .full: "full"
            case .sans(let names): "san:" + names.joined(separator: ",")
            case .chainOnly: "ca"
            }
        return [
            ("OUTBOUND_PROXY_PORT", outbound.proxyPort.map { "\($0)" } ?? ""),
            ("OUTBOUND_DEFAULT", outbound.unmatched.rawValue),
            ("OUTBOUND_MTLS_CIDRS", Configuration.text(outbound.mtlsCIDRs)), ("OUTBOUND_VERIFY", verify),
        ]
    }

    private static func text(_ blocks: [CIDR]?) -> String {
        blocks.map { $0.map { "\($0)" }.joined(separator: ",") } ?? "*"
    }
}

extension ReadinessURL {
    /// Without its query, which may hold a token.
    fileprivate var redacted: String { Redaction.text("http://\(authority)\(path)\(query)") }
}

extension IdentityHeaderSelection {
    fileprivate var names: String {
        let all: [(IdentityHeaderSelection, String)] = [
            (.tlsInfo, "tls-info"), (.cn, "cn"), (.subject, "subject"), (.xfcc, "xfcc"), (.clientCert, "client-cert"),
        ]
        return all.filter { contains($0.0) }.map(\.1).joined(separator: ",")
    }
}
