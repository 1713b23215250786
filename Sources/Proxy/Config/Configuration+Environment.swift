import Addressing

/// The one place that knows the variables' names.
extension Configuration {
    /// Reads the environment.
    ///
    /// - Parameter usableCPUs: what affinity and cgroup leave; bounds the default number of workers.
    package static func parse(
        _ environment: [String: String], usableCPUs: Int = 1
    ) throws(ConfigurationProblems) -> Configuration {
        var reader = EnvironmentReader(environment)
        let configuration = Configuration(
            inbound: inbound(&reader),
            capture: capture(&reader),
            outbound: outbound(&reader),
            tls: tls(&reader),
            log: Log(
                level: reader.choice("LOG_LEVEL", default: .info), format: reader.choice("LOG_FORMAT", default: .json),
                accessLog: reader.choice("ACCESS_LOG", default: .on)),
            timeouts: timeouts(&reader),
            pod: Pod(
                name: reader.text("POD_NAME") ?? "unknown", namespace: reader.text("POD_NAMESPACE") ?? "default"),
            monitor: monitor(&reader),
            appProbes: appProbes(&reader),
            workerThreads: reader.integer("WORKER_THREADS", default: min(2, max(1, usableCPUs)), in: 1...256),
            maxConnections: reader.integer("MAX_CONNECTIONS", default: 10_000, in: 1...1_000_000),
            maxHeaderBytes: reader.integer("MAX_HEADER_BYTES", default: 32_768, in: 1_024...1_048_576),
            isSandboxed: reader.bool("SANDBOX", default: true))
        refuseUnsupported(&reader)
        check(configuration, &reader)
        guard reader.problems.isEmpty else { throw ConfigurationProblems(sentences: reader.problems) }
        return configuration
    }

    private static func inbound(_ reader: inout EnvironmentReader) -> Inbound {
        let upstream = upstream(&reader)
        var upstreamProtocol = reader.choice("UPSTREAM_PROTOCOL", default: Configuration.UpstreamProtocol.auto)
        if upstream.scheme == .h2c {
            if upstreamProtocol == .http1 {
                reader.complain(
                    "UPSTREAM_PROTOCOL=http1 contradicts UPSTREAM_URL, whose scheme is h2c: change one of them")
            }
            upstreamProtocol = .h2c
        }
        return Inbound(
            listenPort: reader.optionalPort("TLS_LISTEN_PORT", alias: "HTTPS_PORT", default: 8443),
            upstream: upstream,
            upstreamProtocol: upstreamProtocol,
            identityHeaders: identityHeaders(&reader),
            preserveHost: reader.value("PRESERVE_HOST", default: Bool?.none, "true or false") {
                EnvironmentReader.bool($0).map(Optional.some)
            },
            plaintext: reader.choice("INBOUND_PLAINTEXT", default: .deny),
            preserveSourceIP: reader.bool("PRESERVE_SOURCE_IP", default: false))
    }

    private static let defaultUpstream = "http://localhost:8000"

    private static func upstream(_ reader: inout EnvironmentReader) -> UpstreamURL {
        let text = reader.text("UPSTREAM_URL") ?? defaultUpstream
        do throws(UpstreamURL.Malformed) {
            return try UpstreamURL(text)
        } catch {
            reader.refuse("UPSTREAM_URL", text, error.reason)
            return UpstreamURL(scheme: .http, host: "localhost", port: 8000, basePath: "")
        }
    }

    private static func identityHeaders(_ reader: inout EnvironmentReader) -> IdentityHeaderSelection {
        let known: [String: IdentityHeaderSelection] = [
            "tls-info": .tlsInfo, "cn": .cn, "subject": .subject, "xfcc": .xfcc, "client-cert": .clientCert,
        ]
        return reader.value(
            "INJECT_CLIENT_HEADERS", default: [], "true, false, or a list of tls-info, cn, subject, xfcc, client-cert"
        ) { text in
            if let all = EnvironmentReader.bool(text) { return all ? [.tlsInfo, .cn, .subject] : [] }
            var selection: IdentityHeaderSelection = []
            for name in text.split(separator: ",", omittingEmptySubsequences: false) {
                guard let header = known[String(name.trimmingSpaces)] else { return nil }
                selection.insert(header)
            }
            return selection
        }
    }

    private static func capture(_ reader: inout EnvironmentReader) -> Capture {
        Capture(
            isTransparent: reader.bool("TRANSPARENT", default: false),
            inboundPort: reader.port("INBOUND_CAPTURE_PORT", default: 15006),
            outboundPort: reader.port("OUTBOUND_CAPTURE_PORT", default: 15001),
            includeInboundPorts: reader.ports("INCLUDE_INBOUND_PORTS", default: .all),
            excludeInboundPorts: reader.ports("EXCLUDE_INBOUND_PORTS", default: .none),
            includeOutboundCIDRs: reader.blocks("INCLUDE_OUTBOUND_CIDRS", default: nil),
            excludeOutboundCIDRs: reader.blocks("EXCLUDE_OUTBOUND_CIDRS", default: []) ?? [],
            includeOutboundPorts: reader.ports("INCLUDE_OUTBOUND_PORTS", default: .all),
            excludeOutboundPorts: reader.ports("EXCLUDE_OUTBOUND_PORTS", default: PortSet([53...53])),
            excludeOutboundUIDs: reader.value("EXCLUDE_OUTBOUND_UIDS", default: [], "a list of numeric user ids") {
                text in
                let parts = text.isEmpty ? [] : text.split(separator: ",", omittingEmptySubsequences: false)
                let ids = parts.compactMap { UInt32($0.trimmingSpaces) }
                return ids.count == parts.count ? ids : nil
            },
            proxyUID: UInt32(reader.integer("PROXY_UID", default: 1337, in: 1...Int(UInt32.max - 1))),
            captureMark: reader.mark("CAPTURE_MARK", default: Mark(value: 0x5c0, mask: 0xfff)),
            proxyMark: reader.mark("PROXY_MARK", default: Mark(value: 0x5c1, mask: 0xfff)),
            routingTable: UInt32(reader.integer("CAPTURE_TABLE", default: 1480, in: 1...Int(UInt32.max))))
    }

    /// Where pods and Services usually live: RFC 1918, RFC 6598, RFC 4193.
    private static let privateBlocks = ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7"]
        .compactMap { CIDR($0) }

    private static func outbound(_ reader: inout EnvironmentReader) -> Outbound {
        let everywhere = ["0.0.0.0/0", "::/0"].compactMap { CIDR($0) }
        return Outbound(
            unmatched: reader.choice("OUTBOUND_DEFAULT", default: .mtls),
            mtlsCIDRs: reader.blocks("OUTBOUND_MTLS_CIDRS", default: privateBlocks) ?? everywhere,
            verify: reader.value("OUTBOUND_VERIFY", default: .full, "full, ca, or san: with a list of names") { text in
                switch text {
                case "full": return .full
                case "ca": return .chainOnly
                case _:
                    guard text.hasPrefix("san:") else { return nil }
                    let names = text.dropFirst(4).split(separator: ",").map { String($0.trimmingSpaces) }
                    return names.isEmpty || names.contains("") ? nil : .sans(names)
                }
            },
            proxyPort: reader.optionalPort("OUTBOUND_PROXY_PORT", default: nil))
    }

    private static func tls(_ reader: inout EnvironmentReader) -> TLS {
        TLS(
            directories: CertificateDirectories(
                server: directory(&reader, "SERVER_CERT_DIR", alias: "CERT_DIR", default: "/etc/certs"),
                client: directory(&reader, "CLIENT_CERT_DIR", default: "/etc/client-certs"),
                ca: directory(&reader, "CA_DIR", default: "/etc/ca")),
            minimumVersion: reader.value("TLS_MIN_VERSION", default: .v1_2, "1.2 or 1.3") { text in
                text == "1.2" ? .v1_2 : text == "1.3" ? .v1_3 : nil
            },
            checksPeerExpiry: reader.bool("PEER_EXPIRY_CHECK", default: true))
    }

    private static func directory(
        _ reader: inout EnvironmentReader, _ name: String, alias: String? = nil, default fallback: String
    ) -> String {
        reader.value(name, alias: alias, default: fallback, "a directory") { $0.isEmpty ? nil : $0 }
    }

    private static func monitor(_ reader: inout EnvironmentReader) -> Monitor {
        Monitor(
            port: reader.value("MONITOR_PORT", default: 8081 as UInt16?, "a port, or 0 to disable it") {
                $0 == "0" ? .some(nil) : PortSet.port($0).map(Optional.some)
            },
            hasMetrics: reader.bool("ENABLE_METRICS", default: false),
            upstreamReadiness: reader.value(
                "UPSTREAM_READINESS_URL", default: ReadinessURL?.none,
                "a URL like http://localhost:8000/ready, or empty"
            ) { $0.isEmpty ? .some(nil) : ReadinessURL($0).map(Optional.some) },
            readinessTimeout: reader.integer("READINESS_TIMEOUT_SECS", default: 1, in: 1...60))
    }

    private static func appProbes(_ reader: inout EnvironmentReader) -> AppProbes {
        guard let text = reader.text("APP_PROBES"), !text.isEmpty else { return .none }
        var probes = AppProbeReader()
        let list = probes.read(text)
        for problem in probes.problems { reader.complain(problem) }
        return list
    }

    private static func timeouts(_ reader: inout EnvironmentReader) -> Timeouts {
        let range = 1...86_400
        return Timeouts(
            handshake: reader.integer("HANDSHAKE_TIMEOUT_SECS", default: 10, in: range),
            header: reader.integer("HEADER_TIMEOUT_SECS", default: 10, in: range),
            idle: reader.integer("IDLE_TIMEOUT_SECS", default: 300, in: range),
            connect: reader.integer("CONNECT_TIMEOUT_SECS", default: 5, in: range),
            response: reader.integer("RESPONSE_TIMEOUT_SECS", default: 0, in: 0...86_400),
            shutdown: reader.integer("SHUTDOWN_TIMEOUT_SECS", default: 30, in: 0...86_400))
    }

    private static func refuseUnsupported(_ reader: inout EnvironmentReader) {
        for name in ["FORWARD_PORT", "TLS_CERT_URI", "TLS_KEY_URI", "CLIENT_CA_URI", "CDH_URL", "POLICY_FILE"] {
            reader.unsupported(name)
        }
    }

    /// What no variable shows alone.
    private static func check(_ configuration: Configuration, _ reader: inout EnvironmentReader) {
        let capture = configuration.capture
        var ports: [(String, UInt16)] = []
        if let port = configuration.inbound.listenPort { ports.append(("TLS_LISTEN_PORT", port)) }
        if let port = configuration.outbound.proxyPort { ports.append(("OUTBOUND_PROXY_PORT", port)) }
        if let port = configuration.monitor.port { ports.append(("MONITOR_PORT", port)) }
        if capture.isTransparent {
            ports.append(("INBOUND_CAPTURE_PORT", capture.inboundPort))
            ports.append(("OUTBOUND_CAPTURE_PORT", capture.outboundPort))
        }
        for (index, first) in ports.enumerated() {
            for second in ports[(index + 1)...] where first.1 == second.1 {
                reader.complain("\(first.0) and \(second.0) are both \(first.1): give each a port of its own")
            }
        }
        for probe in configuration.appProbes.list {
            for (name, port) in ports where port == probe.port {
                reader.complain(
                    "APP_PROBES \(probe.path): port \(port) is the sidecar's own (\(name)): name the application's")
            }
        }
        if configuration.inbound.listenPort != nil, let port = configuration.monitor.port,
            configuration.inbound.upstream.isOnLoopback, configuration.inbound.upstream.port == port
        {
            // From there the monitor port would take a peer for somebody in the pod, who may end the process.
            reader.complain(
                "UPSTREAM_URL names port \(port), which is the sidecar's own (MONITOR_PORT): name the application's")
        }
        if capture.captureMark.value & capture.proxyMark.mask == capture.proxyMark.value
            || capture.proxyMark.value & capture.captureMark.mask == capture.captureMark.value
        {
            reader.complain(
                "CAPTURE_MARK=\(capture.captureMark) and PROXY_MARK=\(capture.proxyMark) cannot be told apart: "
                    + "give them different values under one mask")
        }
        if (253...255).contains(capture.routingTable) {
            reader.complain("CAPTURE_TABLE=\(capture.routingTable) is a table of the system: use another number")
        }
        if !capture.isTransparent, configuration.inbound.listenPort == nil, configuration.outbound.proxyPort == nil {
            reader.complain("nothing to do: set TLS_LISTEN_PORT or OUTBOUND_PROXY_PORT, or TRANSPARENT=true")
        }
        if capture.isTransparent, capture.excludeOutboundUIDs.contains(capture.proxyUID) {
            reader.complain(
                "EXCLUDE_OUTBOUND_UIDS names PROXY_UID (\(capture.proxyUID)), which is left alone anyway: remove it")
        }
    }
}

extension UpstreamURL {
    fileprivate init(scheme: Scheme, host: String, port: UInt16, basePath: String) {
        self.scheme = scheme
        self.host = host
        self.port = port
        self.basePath = basePath
    }
}
