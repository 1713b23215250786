/// The names that pods and namespaces use to talk to injection.
package enum Annotation {
    package static let prefix = "sidecar.mtls.dev/"

    /// Annotations that are no variable of the proxy.
    package enum Name: String, CaseIterable, Sendable {
        /// Whether the pod takes part; also a label.
        case inject
        case mode
        case tlsSecret = "tls-secret"
        /// How a pod that ends by itself gets rid of the sidecar, where there are no native sidecars.
        case job
        /// Whether `sidecar inject` prints a Service for the mTLS port.
        case service
        case image
        case cpuRequest = "cpu-request"
        case cpuLimit = "cpu-limit"
        case memoryRequest = "memory-request"
        case memoryLimit = "memory-limit"
        /// Written by injection.
        case status

        package var key: String { Annotation.prefix + rawValue }
    }

    /// Where kubectl looks for the container that `logs` and `exec` mean.
    static let defaultContainer = "kubectl.kubernetes.io/default-container"
}

/// The proxy's variables that an annotation may set, named like the variable in small letters with hyphens.
package enum Variable {
    package static let names = [
        "ACCESS_LOG", "CAPTURE_MARK", "CAPTURE_TABLE", "CA_DIR", "CLIENT_CERT_DIR", "CONNECT_TIMEOUT_SECS",
        "ENABLE_METRICS", "EXCLUDE_INBOUND_PORTS", "EXCLUDE_OUTBOUND_CIDRS", "EXCLUDE_OUTBOUND_PORTS",
        "EXCLUDE_OUTBOUND_UIDS", "HANDSHAKE_TIMEOUT_SECS", "HEADER_TIMEOUT_SECS", "IDLE_TIMEOUT_SECS",
        "INBOUND_CAPTURE_PORT", "INBOUND_PLAINTEXT", "INCLUDE_INBOUND_PORTS", "INCLUDE_OUTBOUND_CIDRS",
        "INCLUDE_OUTBOUND_PORTS", "INJECT_CLIENT_HEADERS", "LOG_FORMAT", "LOG_LEVEL", "MAX_CONNECTIONS",
        "MAX_HEADER_BYTES", "MONITOR_PORT", "OUTBOUND_CAPTURE_PORT", "OUTBOUND_DEFAULT", "OUTBOUND_MTLS_CIDRS",
        "OUTBOUND_PROXY_PORT", "OUTBOUND_VERIFY", "PEER_EXPIRY_CHECK", "PRESERVE_HOST", "PRESERVE_SOURCE_IP",
        "PROXY_MARK", "PROXY_UID", "READINESS_TIMEOUT_SECS", "RESPONSE_TIMEOUT_SECS", "SANDBOX", "SERVER_CERT_DIR",
        "SHUTDOWN_TIMEOUT_SECS", "TLS_LISTEN_PORT", "TLS_MIN_VERSION", "UPSTREAM_PROTOCOL", "UPSTREAM_READINESS_URL",
        "UPSTREAM_URL", "WORKER_THREADS",
    ]

    /// Variables that injection sets itself, and why an annotation cannot.
    static let reserved = [
        "TRANSPARENT": "the annotation sidecar.mtls.dev/mode decides it",
        "APP_PROBES": "injection writes it from the pod's probes",
        "POD_NAME": "Kubernetes sets it", "POD_NAMESPACE": "Kubernetes sets it",
    ]

    package static func annotation(_ variable: String) -> String {
        Annotation.prefix + String(variable.lowercased().map { $0 == "_" ? "-" : $0 })
    }

    static func name(_ annotation: Substring) -> String {
        String(annotation.uppercased().map { $0 == "-" ? "_" : $0 })
    }
}
