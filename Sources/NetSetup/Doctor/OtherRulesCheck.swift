/// Rules of other programs that would take connections away from the proxy.
enum OtherRulesCheck {
    /// Programs by how they name their chains or tables.
    private static let meshes: [(prefix: String, name: String, remedy: String)] = [
        ("ISTIO_", "Istio", "annotate the pod with sidecar.istio.io/inject: \"false\""),
        ("istio-proxy-", "Istio", "annotate the pod with sidecar.istio.io/inject: \"false\""),
        ("PROXY_INIT_", "Linkerd", "annotate the pod with linkerd.io/inject: disabled"),
        ("KUMA_", "Kuma", "annotate the pod with kuma.io/sidecar-injection: disabled"),
        ("CONSUL_", "Consul", "annotate the pod with consul.hashicorp.com/connect-inject: \"false\""),
        ("CILIUM_", "Cilium", "the pod uses the node's network: capture works in a pod's own network only"),
        ("KUBE-", "kube-proxy", "the pod uses the node's network: set hostNetwork: false"),
        ("cali-", "Calico", "the pod uses the node's network: set hostNetwork: false"),
    ]

    /// Parts of a rule's text that send a connection elsewhere; the latter are those of iptables.
    private static let redirections = [
        "[redir ", "[tproxy ", "[nat ", "name REDIRECT", "name TPROXY", "name DNAT",
    ]

    /// Parts of a rule's text that change a packet's mark; the latter is that of iptables.
    private static let markings = ["[meta set mark ", "name MARK"]

    /// What a rule may consist of that drops all of TCP.
    private static let partsOfADrop: Set<Substring> = [
        "meta load l4proto => reg 1 ]", "cmp eq reg 1 0x00000006 ]", "immediate reg 0 drop ]", "counter ]",
    ]

    static func findings(_ facts: SystemFacts, _ expectation: Doctor.Expectation) -> [Diagnosis] {
        guard expectation.isTransparent else { return [] }
        var findings: [Diagnosis] = []
        switch (facts.otherChains, facts.otherRules) {
        case (.value(let chains), .value(let rules)): findings = judge(chains, rules)
        case (.unreadable(let error), _), (_, .unreadable(let error)):
            findings = [CaptureCheck.unreadable(.otherRules, "the rules of other programs", error)]
        }
        guard let legacy = facts.legacyTables else {
            return findings + [
                .unknown(
                    .otherRules, "whether there are rules of the older iptables cannot be read: only root may",
                    fix: "run this as root, or look with `iptables-legacy-save`")
            ]
        }
        let risky = legacy.filter { ["nat", "mangle"].contains($0) }
        if !risky.isEmpty {
            findings.append(
                .warning(
                    .otherRules,
                    "the older iptables has the tables \(risky.joined(separator: " and ")) here, whose rules cannot be read by netlink",
                    fix: "look with `iptables-legacy-save`: nothing in them may redirect TCP"))
        }
        return findings
    }

    static func judge(_ chains: [Listing.Entry], _ rules: [Listing.Entry]) -> [Diagnosis] {
        var findings: [Diagnosis] = []
        for table in chains.map(TableName.init).uniqued {
            let own = chains.filter { TableName($0) == table }
            let names = [table.name] + own.map(\.chain)
            if let mesh = meshes.first(where: { mesh in names.contains { $0.hasPrefix(mesh.prefix) } }) {
                findings.append(
                    .problem(
                        .otherRules,
                        "the table \(table) of \(mesh.name) is in the way: both would take the same connections",
                        fix: "\(mesh.remedy); or remove it: nft delete table \(table)"))
            } else if own.contains(where: \.isHookedForCapture) {
                let texts = rules.filter { TableName($0) == table }.map(\.text)
                findings += interferences(own, texts).map { what in
                    .warning(
                        .otherRules, "the table \(table) of another program \(what)",
                        fix: "see `nft list table \(table)`: it must leave TCP alone, except to loopback addresses")
                }
            }
        }
        return findings.isEmpty
            ? [.ok(.otherRules, "no other program's nftables rules redirect, mark or drop connections")] : findings
    }

    /// What the rules of a table that is asked about the same packets may do to them.
    private static func interferences(_ chains: [Listing.Entry], _ rules: [String]) -> [String] {
        func isThere(_ parts: [String]) -> Bool { rules.contains { rule in parts.contains { rule.contains($0) } } }
        var found: [String] = []
        if isThere(redirections) { found.append("redirects connections too") }
        if isThere(markings) { found.append("sets marks, by which capture knows its packets") }
        let dropsByPolicy = chains.contains { $0.isHookedForCapture && $0.text.hasSuffix(" policy 0") }
        if dropsByPolicy || rules.contains(where: dropsEverything) { found.append("drops whatever it does not know") }
        return found
    }

    private static func dropsEverything(_ rule: String) -> Bool {
        let parts = rule.split(separator: "[")
        return parts.contains("immediate reg 0 drop ]") && parts.allSatisfy(partsOfADrop.contains)
    }
}

/// Family and name, as nft writes them.
private struct TableName: Hashable, CustomStringConvertible {
    let family: Listing.Family
    let name: String

    init(_ entry: Listing.Entry) {
        family = entry.family
        name = entry.table
    }

    var description: String { "\(family) \(name)" }
}

extension Listing.Entry {
    /// A base chain at prerouting or output.
    fileprivate var isHookedForCapture: Bool { text.contains(" hook 0 ") || text.contains(" hook 3 ") }
}

extension Sequence where Element: Hashable {
    /// Each element once, in the order of their first appearance.
    fileprivate var uniqued: [Element] {
        var seen: Set<Element> = []
        return filter { seen.insert($0).inserted }
    }
}
