/// Settings of the kernel that change what the rules do. The rules need none of them set.
enum SysctlCheck {
    static let names = [
        "net.ipv4.conf.all.rp_filter", "net.ipv4.conf.all.src_valid_mark", "net.ipv4.ip_forward",
        "net.ipv4.tcp_fwmark_accept", "net.ipv6.conf.all.disable_ipv6", "net.ipv6.conf.lo.disable_ipv6",
    ]

    static func findings(_ facts: SystemFacts, _ expectation: Doctor.Expectation) -> [Diagnosis] {
        guard expectation.isTransparent else { return [] }
        var findings: [Diagnosis] = []
        if facts.sysctls["net.ipv4.tcp_fwmark_accept"] == 1 {
            findings.append(
                .problem(
                    .sysctls,
                    "net.ipv4.tcp_fwmark_accept=1 takes the proxy mark from accepted connections: their last packets are captured",
                    fix: "remove it from securityContext.sysctls of the pod"))
        }
        if facts.sysctls["net.ipv6.conf.lo.disable_ipv6"] == 1, facts.sysctls["net.ipv6.conf.all.disable_ipv6"] == 0 {
            findings.append(
                .problem(
                    .sysctls,
                    "IPv6 is on, but off on the interface lo: captured IPv6 connections are refused",
                    fix: "set net.ipv6.conf.lo.disable_ipv6=0, or switch IPv6 off everywhere"))
        }
        let values = names.compactMap { name in facts.sysctls[name].map { "\(name.dropFirst(4))=\($0)" } }
        if findings.isEmpty, !values.isEmpty {
            findings.append(.ok(.sysctls, "nothing is in the way: \(values.joined(separator: " "))"))
        }
        return findings
    }
}
