package import Addressing

/// What `sidecar run` and `sidecar init` are to do, checked: read from the environment once, then handed down.
package struct Configuration: Sendable, Equatable {
    package struct Inbound: Sendable, Equatable {
        /// The explicit mTLS port; nil when it is disabled.
        package var listenPort: UInt16?
        package var upstream: UpstreamURL
        package var upstreamProtocol: UpstreamProtocol
        package var identityHeaders: IdentityHeaderSelection
        /// nil for the mode's own default: no on the explicit port, yes for captured connections.
        package var preserveHost: Bool?
        package var plaintext: PlaintextMode
        package var preserveSourceIP: Bool
    }

    /// What the application speaks. `auto` is HTTP/2 for gRPC and HTTP/1.1 for the rest.
    package enum UpstreamProtocol: String, Sendable, CaseIterable { case auto, http1, h2c }

    /// What happens to captured inbound bytes that are not TLS.
    package enum PlaintextMode: String, Sendable, CaseIterable { case deny, probes, allow }

    package struct Capture: Sendable, Equatable {
        package var isTransparent: Bool
        package var inboundPort: UInt16
        package var outboundPort: UInt16
        package var includeInboundPorts: PortSet
        package var excludeInboundPorts: PortSet
        /// nil for all addresses.
        package var includeOutboundCIDRs: [CIDR]?
        package var excludeOutboundCIDRs: [CIDR]
        package var includeOutboundPorts: PortSet
        package var excludeOutboundPorts: PortSet
        package var excludeOutboundUIDs: [UInt32]
        package var proxyUID: UInt32
        package var captureMark: Mark
        package var proxyMark: Mark
        package var routingTable: UInt32

        /// What the proxy's own connections carry, so that they are not captured; nil where nothing is.
        var connectMark: UInt32? { isTransparent ? proxyMark.value : nil }
    }

    /// A firewall mark under its mask, `0x5c0/0xfff`.
    package struct Mark: Sendable, Equatable, CustomStringConvertible {
        package var value: UInt32
        package var mask: UInt32

        package var description: String { "0x\(String(value, radix: 16))/0x\(String(mask, radix: 16))" }
    }

    package struct Outbound: Sendable, Equatable {
        package var unmatched: OutboundDefault
        package var mtlsCIDRs: [CIDR]
        package var verify: VerifyMode
        /// The forward proxy's port on loopback; nil when it is disabled.
        package var proxyPort: UInt16?
    }

    /// What happens to captured outbound connections.
    package enum OutboundDefault: String, Sendable, CaseIterable { case mtls, passthrough, deny }

    /// How servers prove who they are.
    package enum VerifyMode: Sendable, Equatable {
        case full
        case sans([String])
        case chainOnly
    }

    package struct TLS: Sendable, Equatable {
        package var directories: CertificateDirectories
        package var minimumVersion: TLSVersion
        /// Connections end when their peer would be refused by now.
        package var checksPeerExpiry: Bool
    }

    package struct Monitor: Sendable, Equatable {
        /// nil when it is disabled.
        package var port: UInt16?
        /// `/metrics` is served.
        package var hasMetrics: Bool
        /// Where the application says whether it is ready; nil when nobody asks it.
        package var upstreamReadiness: ReadinessURL?
        /// Seconds.
        package var readinessTimeout: Int
    }

    package enum AccessLog: String, Sendable, CaseIterable { case on, errors, off }

    package struct Log: Sendable, Equatable {
        package var level: LogLevel
        package var format: LogFormat
        package var accessLog: AccessLog
    }

    package enum LogLevel: String, Sendable, CaseIterable { case trace, debug, info, warning, error }

    /// Seconds.
    package struct Timeouts: Sendable, Equatable {
        package var handshake: Int
        package var header: Int
        package var idle: Int
        package var connect: Int
        /// 0 for none.
        package var response: Int
        package var shutdown: Int
    }

    package struct Pod: Sendable, Equatable {
        package var name: String
        package var namespace: String
    }

    package var inbound: Inbound
    package var capture: Capture
    package var outbound: Outbound
    package var tls: TLS
    package var log: Log
    package var timeouts: Timeouts
    package var pod: Pod
    package var monitor: Monitor
    package var appProbes: AppProbes
    package var workerThreads: Int
    package var maxConnections: Int
    package var maxHeaderBytes: Int
    /// The proxy fences itself in: docs/security.md.
    package var isSandboxed: Bool

    /// Ports of this process that capture must leave alone.
    package var ownPorts: PortSet {
        PortSet([inbound.listenPort, monitor.port].compactMap { $0 }.map { $0...$0 })
    }
}

/// Everything that is wrong with the environment, a sentence each.
package struct ConfigurationProblems: Error, Equatable {
    package let sentences: [String]
}
