/// Whether anybody but the proxy runs as PROXY_UID, whose connections the rules leave alone.
enum UserCheck {
    static func findings(_ facts: SystemFacts, _ expectation: Doctor.Expectation) -> [Diagnosis] {
        guard expectation.isTransparent else { return [] }
        let user = expectation.settings.proxyUID
        let fix =
            "give the application another user (runAsUser), or the proxy another PROXY_UID, for init and run alike"
        let near = ancestors(of: facts.ownID, in: facts.processes)
        let strangers = facts.processes.filter {
            $0.user == user && $0.network == facts.ownNetwork && !$0.isThisProgram && !near.contains($0.id)
        }
        var findings: [Diagnosis] = strangers.map { process in
            .problem(
                .users,
                "process \(process.id) (\(process.name)) runs as user \(user), which is PROXY_UID: its connections are "
                    + "not captured and leave in plain text", fix: fix)
        }
        // Where the containers of a pod do not see each other's processes, their sockets still show their users.
        let capture = expectation.settings
        let own = expectation.ports.map(\.port) + [capture.inboundCapturePort, capture.outboundCapturePort]
        if findings.isEmpty, let listeners = facts.listeners.known {
            let ports = Set(listeners.filter { $0.user == user && !own.contains($0.port) }.map(\.port)).sorted()
            findings = ports.map { port in
                .problem(
                    .users,
                    "somebody listens on port \(port) as user \(user), which is PROXY_UID, and it is no port of the "
                        + "proxy: connections of that user are not captured and leave in plain text", fix: fix)
            }
        }
        if findings.isEmpty {
            findings = [.ok(.users, "nobody else is seen to run as PROXY_UID (\(user))")]
        }
        return findings
    }

    /// The process and those that started it: a shell that runs this command is not the application.
    private static func ancestors(of id: Int, in processes: [ProcessFacts]) -> Set<Int> {
        var found: Set<Int> = []
        var next = id
        while next > 0, found.insert(next).inserted {
            next = processes.first { $0.id == next }?.parent ?? 0
        }
        return found
    }
}
