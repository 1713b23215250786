import Addressing

/// Whether the proxy listens where it should, and as the rules need it.
enum SocketCheck {
    static func findings(
        proxies: [ProcessFacts], _ facts: SystemFacts, _ expectation: Doctor.Expectation
    ) -> [Diagnosis] {
        guard let listeners = facts.listeners.known else {
            return [
                .unknown(
                    .sockets, "the listening sockets cannot be read: \(facts.listeners.failure)",
                    fix: "look at them with `ss -tln` in the pod's network namespace")
            ]
        }
        var findings: [Diagnosis] = []
        if expectation.isTransparent {
            let settings = expectation.settings
            for (port, variable) in [
                (settings.inboundCapturePort, "INBOUND_CAPTURE_PORT"),
                (settings.outboundCapturePort, "OUTBOUND_CAPTURE_PORT"),
            ] {
                findings += judge(port, variable, listeners.filter { $0.port == port }, facts, settings)
            }
        }
        for (port, variable) in expectation.ports where !listeners.contains(where: { $0.port == port }) {
            findings.append(
                .problem(
                    .sockets, "nobody listens on port \(port) (\(variable))",
                    fix: "start the proxy with the same \(variable); if it runs, look into its log"))
        }
        if findings.isEmpty { findings = [.ok(.sockets, "the proxy listens on \(described(expectation))")] }
        return findings
    }

    private static func judge(
        _ port: UInt16, _ variable: String, _ listeners: [Listener], _ facts: SystemFacts, _ settings: CaptureSettings
    ) -> [Diagnosis] {
        let place = "port \(port) (\(variable))"
        guard !listeners.isEmpty else {
            return [
                .problem(
                    .sockets, "nobody listens on \(place): what the rules send there is dropped",
                    fix: "start the proxy with TRANSPARENT=true and the same \(variable); if it runs, look into its log"
                )
            ]
        }
        var findings: [Diagnosis] = []
        let families: [IPAddress.Family] = facts.hasIPv6 ? [.v4, .v6] : [.v4]
        for family in families where !listeners.contains(where: { $0.address.family == family }) {
            let name = family == .v4 ? "IPv4" : "IPv6"
            findings.append(
                .problem(
                    .sockets, "nobody listens on \(place) for \(name): captured \(name) connections are dropped",
                    fix: "start the proxy again; its log says on which addresses it listens"))
        }
        if listeners.contains(where: { $0.isTransparent == false }) {
            findings.append(
                .problem(
                    .sockets, "who listens on \(place) has no IP_TRANSPARENT, so nothing captured gets there",
                    fix: "another program has the port: give one of the two another"))
        }
        let mark = settings.proxyMark
        if let other = listeners.lazy.compactMap(\.mark).first(where: { $0 & mark.mask != mark.value }) {
            findings.append(
                .problem(
                    .sockets,
                    "the listener on \(place) carries the mark 0x\(String(other, radix: 16)), not PROXY_MARK (\(mark)): "
                        + "the proxy's own packets are captured again",
                    fix: "give init and run the same PROXY_MARK, run init again and start the proxy again"))
        }
        return findings
    }

    private static func described(_ expectation: Doctor.Expectation) -> String {
        var ports = expectation.ports.map(\.port)
        if expectation.isTransparent {
            ports += [expectation.settings.inboundCapturePort, expectation.settings.outboundCapturePort]
        }
        return ports.isEmpty ? "no port" : "all its ports: \(ports.sorted().map(String.init).joined(separator: ", "))"
    }
}
