/// Whether the proxy runs here, and as whom.
struct ProcessCheck {
    /// The proxies of this network namespace that can be seen.
    let proxies: [ProcessFacts]
    private let expectation: Doctor.Expectation
    private let isListening: Bool

    init(_ facts: SystemFacts, _ expectation: Doctor.Expectation) {
        self.expectation = expectation
        proxies = facts.processes.filter { $0.isProxy && $0.network == facts.ownNetwork && $0.id != facts.ownID }
        let capture = expectation.settings
        let ports = expectation.ports.map(\.port) + [capture.inboundCapturePort, capture.outboundCapturePort]
        isListening = facts.listeners.known?.contains { ports.contains($0.port) } ?? false
    }

    var findings: [Diagnosis] {
        guard !proxies.isEmpty else {
            if isListening {
                return [
                    .unknown(
                        .process,
                        "somebody listens on the proxy's ports, but no process `sidecar run` can be seen from here",
                        fix: "run this in the sidecar's own container (kubectl exec), to see whether it is the proxy")
                ]
            }
            return [
                .problem(
                    .process, "the proxy is not running: no process `sidecar run` in this network namespace",
                    fix: "start it, and if it does not stay, its last log line says why")
            ]
        }
        return proxies.flatMap { [user(of: $0), sandbox(of: $0)] }
    }

    private func user(of proxy: ProcessFacts) -> Diagnosis {
        let wanted = expectation.settings.proxyUID
        let who = "the proxy (process \(proxy.id)) runs as user \(proxy.user)"
        if proxy.user == 0 {
            return .warning(
                .process, who + ", which is root",
                fix:
                    "set runAsUser: \(wanted) for its container, or leave it CAP_SETUID and CAP_SETGID to become PROXY_UID"
            )
        }
        if expectation.isTransparent, proxy.user != wanted {
            return .warning(
                .process,
                who + ", and the rules leave PROXY_UID (\(wanted)) alone: its name look-ups over TCP are captured",
                fix: "set runAsUser: \(wanted) for its container, or PROXY_UID=\(proxy.user) for init and run")
        }
        return .ok(.process, who)
    }

    private func sandbox(of proxy: ProcessFacts) -> Diagnosis {
        var missing: [String] = []
        if !proxy.hasNoNewPrivileges { missing.append("no_new_privs") }
        if proxy.seccompMode != 2 { missing.append("a seccomp filter") }
        guard missing.isEmpty else {
            return .warning(
                .sandbox, "the proxy (process \(proxy.id)) runs without \(missing.joined(separator: " and "))",
                fix:
                    "leave SANDBOX at true; if it is, the log line `sandbox` at the proxy's start says what the kernel refused"
            )
        }
        // Whose filter it is, its own or the container runtime's, only the proxy can say.
        return .ok(.sandbox, "the proxy (process \(proxy.id)) has no_new_privs and is under a seccomp filter")
    }
}
