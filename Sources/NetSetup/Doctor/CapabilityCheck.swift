/// Whether the proxy has the capability that it needs, and none besides; where none runs, whether one could here.
enum CapabilityCheck {
    static func findings(
        proxies: [ProcessFacts], _ facts: SystemFacts, _ expectation: Doctor.Expectation
    ) -> [Diagnosis] {
        if !proxies.isEmpty { return proxies.map { judge($0, expectation) } }
        guard expectation.isTransparent, let own = facts.processes.first(where: { $0.id == facts.ownID }) else {
            return []
        }
        return [judgeContainer(own, facts)]
    }

    private static func judge(_ proxy: ProcessFacts, _ expectation: Doctor.Expectation) -> Diagnosis {
        let needed: UInt64 = expectation.isTransparent ? 1 << Capability.netRaw.rawValue : 0
        let held = proxy.effective | proxy.permitted
        if proxy.effective & needed != needed {
            // NET_ADMIN serves for everything that NET_RAW does here.
            guard proxy.has(.netAdmin) else {
                return .problem(
                    .capabilities,
                    "the proxy (process \(proxy.id)) lacks the capability NET_RAW, which TRANSPARENT=true needs",
                    fix: grantNetRaw)
            }
            return .warning(
                .capabilities, "the proxy (process \(proxy.id)) works with NET_ADMIN because NET_RAW is missing",
                fix: "replace NET_ADMIN by NET_RAW in securityContext.capabilities.add of the proxy")
        }
        guard held & ~needed == 0 else {
            return .problem(
                .capabilities,
                "the proxy (process \(proxy.id)) holds capabilities it does not need: 0x\(String(held & ~needed, radix: 16))",
                fix: "it gives up all but NET_RAW when it starts: is this process `sidecar run`, and of this version?")
        }
        return .ok(
            .capabilities,
            "the proxy (process \(proxy.id)) holds \(expectation.isTransparent ? "NET_RAW and nothing else" : "no capability")"
        )
    }

    private static func judgeContainer(_ own: ProcessFacts, _ facts: SystemFacts) -> Diagnosis {
        if own.bounding >> Capability.netRaw.rawValue & 1 == 0 {
            return .problem(
                .capabilities, "the capability NET_RAW is missing here, and TRANSPARENT=true needs it", fix: grantNetRaw
            )
        }
        if own.user != 0, own.permitted >> Capability.netRaw.rawValue & 1 == 0 {
            return .problem(
                .capabilities,
                "NET_RAW is allowed here and TRANSPARENT=true needs it, but user \(own.user) does not get it: the binary has "
                    + "no file capability",
                fix:
                    "give it one (setcap cap_net_raw+p), or start the proxy as root with NET_RAW, SETUID and SETGID: it "
                    + "becomes PROXY_UID by itself")
        }
        return .ok(.capabilities, "NET_RAW can be had here")
    }

    private static let grantNetRaw =
        "add NET_RAW to securityContext.capabilities.add of the proxy's container"
}
