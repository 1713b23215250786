import Addressing
import Testing

@testable import NetSetup

@Suite struct ProcessFactsTests {
    private let status = """
        Name:\tsidecar
        PPid:\t7
        Uid:\t0\t1337\t1337\t1337
        CapPrm:\t0000000000002000
        CapEff:\t0000000000002000
        CapBnd:\t00000000a80425fb
        NoNewPrivs:\t1
        Seccomp:\t2

        """

    @Test func theFieldsOfStatusAreRead() throws {
        let facts = try #require(
            ProcessFacts(id: 9, status: status, commandLine: Array("/bin/sidecar\0run\0".utf8), network: 5))
        #expect(facts.name == "sidecar" && facts.parent == 7 && facts.user == 1337)
        #expect(facts.effective == 0x2000 && facts.permitted == 0x2000 && facts.bounding == 0xa804_25fb)
        #expect(facts.has(.netRaw) && !facts.has(.netAdmin))
        #expect(facts.hasNoNewPrivileges && facts.seccompMode == 2)
        #expect(facts.arguments == ["/bin/sidecar", "run"])
    }

    @Test(arguments: [("sidecar\0", true), ("sidecar\0run\0", true), ("sidecar\0doctor\0", false), ("", true)])
    func theProxyIsToldFromItsHelpers(_ commandLine: String, _ isProxy: Bool) throws {
        let facts = try #require(
            ProcessFacts(id: 9, status: status, commandLine: Array(commandLine.utf8), network: nil))
        #expect(facts.isProxy == isProxy)
    }

    @Test func aProcessThatEndsMeanwhileIsNone() {
        #expect(ProcessFacts(id: 9, status: "", commandLine: [], network: nil) == nil)
    }
}

@Suite struct ListenerTests {
    @Test func theOlderFilesAreRead() throws {
        let table = """
              sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
               0: 0100007F:1F91 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1337        0 12 1
               1: 0200A8C0:0016 0100A8C0:D431 01 00000000:00000000 00:00000000 00000000     0        0 13 1
            """
        #expect(
            Listener.parse(table) == [
                Listener(address: .loopbackV4, port: 8081, user: 1337, isTransparent: nil, mark: nil)
            ])
        let table6 = """
              sl  local_address                         remote_address                        st tx rx tr uid
               0: 000077FD000000000000000002000000:3A9E 00000000000000000000000000000000:0000 0A 0:0 0:0 0  7  0
            """
        let found = try #require(Listener.parse(table6).first)
        #expect(found.address == IPAddress("fd77::2") && found.port == 15006)
    }

    @Test(arguments: ["", "header only", "header\n 0: nonsense", "header\n 0: XYZ:1 0:0 0A 0:0 0:0 0 1"])
    func damagedFilesHoldNothing(_ table: String) { #expect(Listener.parse(table).isEmpty) }
}

@Suite struct KernelVersionTests {
    @Test func releasesAreCompared() throws {
        let kernel = try #require(KernelVersion("5.15.0-101-generic"))
        #expect(kernel < KernelVersion(5, 17) && kernel > KernelVersion(5, 9) && kernel < KernelVersion(6, 1))
        #expect(KernelVersion("unknown") == nil)
    }
}

@Suite struct CaptureCountersTests {
    @Test func eachRuleCountsForWhatItDoes() {
        var counters = CaptureCounters()
        for chain in CapturePlan(CaptureSettings()).chains {
            for rule in chain.rules { counters.count(1, rule) }
        }
        #expect(counters.inboundCaptured == 1 && counters.inboundDropped == 1)
        #expect(counters.outboundCaptured == 1 && counters.outboundDropped == 1)
        #expect(counters.misusedPorts == 2 && counters.strayed == 1)
    }
}

/// Judgement over facts: no kernel is asked.
@Suite struct DoctorTests {
    private let expectation = Doctor.Expectation(
        isTransparent: true, settings: CaptureSettings(), ports: [(8081, "MONITOR_PORT")])

    private func healthy() throws -> SystemFacts {
        func process(_ id: Int, _ name: String, _ user: Int, parent: Int = 1) throws -> ProcessFacts {
            let status = """
                Name:\t\(name)
                PPid:\t\(parent)
                Uid:\t\(user)\t\(user)
                CapPrm:\t2000
                CapEff:\t2000
                CapBnd:\t2000
                NoNewPrivs:\t1
                Seccomp:\t2
                """
            return try #require(ProcessFacts(id: id, status: status, commandLine: [], network: 1))
        }
        func listener(_ address: IPAddress, _ port: UInt16) -> Listener {
            Listener(address: address, port: port, user: 1337, isTransparent: true, mark: 0x5c1)
        }
        return SystemFacts(
            processes: [try process(1, "sidecar", 1337), try process(20, "doctor", 0), try process(30, "app", 1000)],
            ownID: 20, ownNetwork: 1,
            listeners: .value([
                listener(.anyV4, 15006), listener(.anyV6, 15006), listener(.anyV4, 15001), listener(.anyV6, 15001),
                listener(.anyV6, 8081),
            ]),
            table: .value([]), routing: .value([]), doubtfulPolicies: .value([]), canary: .refused,
            counters: .value(CaptureCounters()), otherChains: .value([]),
            otherRules: .value([]), legacyTables: [], sysctls: ["net.ipv4.ip_forward": 0], kernel: KernelVersion(6, 1),
            hasIPv6: true)
    }

    private func problems(_ facts: SystemFacts, _ area: Diagnosis.Area) -> [String] {
        Doctor(expectation, facts).findings.filter { $0.severity == .problem && $0.area == area }.map(\.sentence)
    }

    private let denied = NetSetupError.system("read", 1)

    @Test func healthIsOKThroughout() throws {
        let findings = Doctor(expectation, try healthy()).findings
        #expect(findings.allSatisfy { $0.severity == .ok && $0.fix == nil })
    }

    @Test func everyOtherFindingHasAFix() throws {
        var facts = try healthy()
        facts.processes[0].user = 0
        facts.processes[0].seccompMode = 0
        facts.processes[0].effective = 0
        facts.processes[2].user = 1337
        facts.listeners = .value([Listener(address: .anyV4, port: 15006, user: 0, isTransparent: false, mark: 7)])
        facts.table = .value([.tableMissing, .chainUnknown("x"), .rulesReordered(chain: "y")])
        facts.routing = .unreadable(denied)
        facts.otherChains = .unreadable(denied)
        facts.legacyTables = nil
        facts.sysctls["net.ipv4.tcp_fwmark_accept"] = 1
        facts.kernel = KernelVersion(5, 4)
        for finding in Doctor(expectation, facts).findings where finding.severity != .ok {
            #expect(finding.fix?.isEmpty == false, "\(finding.sentence)")
        }
    }

    @Test func anOldKernelIsNamed() throws {
        var facts = try healthy()
        facts.kernel = KernelVersion(5, 10)
        #expect(
            problems(facts, .kernel) == [
                "Linux 5.10 lets only NET_ADMIN mark sockets, and the proxy marks each of its own"
            ])
        facts.kernel = KernelVersion(4, 19)
        #expect(problems(facts, .kernel) == ["Linux 4.19 is too old for the capture rules"])
    }

    @Test func aProxyWithoutItsCapabilityIsNamed() throws {
        var facts = try healthy()
        facts.processes[0].effective = 0
        facts.processes[0].permitted = 0
        #expect(problems(facts, .capabilities).first?.contains("lacks the capability NET_RAW") == true)
    }

    @Test func aProxyWithTooManyCapabilitiesIsNamed() throws {
        var facts = try healthy()
        facts.processes[0].permitted = 0x2001
        #expect(problems(facts, .capabilities).first?.contains("does not need: 0x1") == true)
    }

    @Test func theListenerOfOneFamilyIsMissed() throws {
        var facts = try healthy()
        facts.listeners = .value((facts.listeners.known ?? []).filter { $0.address != .anyV6 || $0.port != 15001 })
        #expect(
            problems(facts, .sockets) == [
                "nobody listens on port 15001 (OUTBOUND_CAPTURE_PORT) for IPv6: captured IPv6 connections are dropped"
            ])
        facts.hasIPv6 = false
        #expect(problems(facts, .sockets).isEmpty)
    }

    @Test func processesOfOtherNetworksAreNoMatter() throws {
        var facts = try healthy()
        facts.processes[2].user = 1337
        #expect(problems(facts, .users).count == 1)
        facts.processes[2].network = 2
        #expect(problems(facts, .users).isEmpty)
    }

    @Test func theShellThatRunsTheDoctorIsNotTheApplication() throws {
        var facts = try healthy()
        facts.processes[2].user = 1337
        facts.processes[1].parent = 30
        #expect(problems(facts, .users).isEmpty)
    }

    @Test func whatCannotBeReadIsUnknown() throws {
        var facts = try healthy()
        facts.table = .unreadable(denied)
        func rules() -> [Diagnosis.Severity] {
            Doctor(expectation, facts).findings.filter { $0.area == .rules }.map(\.severity)
        }
        #expect(rules() == [.ok, .unknown])
        facts.canary = .unknown
        #expect(rules() == [.unknown])
        facts.canary = .passed
        #expect(rules() == [.problem])
    }

    @Test func tablesOfTheOlderIptablesAreAWarning() throws {
        var facts = try healthy()
        facts.legacyTables = ["filter", "nat"]
        let found = Doctor(expectation, facts).findings.filter { $0.area == .otherRules && $0.severity == .warning }
        #expect(found.count == 1 && found.first?.sentence.contains("tables nat") == true)
    }

    @Test(arguments: [
        ("ISTIO_INBOUND", "Istio"), ("PROXY_INIT_OUTPUT", "Linkerd"), ("KUMA_MESH_INBOUND", "Kuma"),
        ("CONSUL_PROXY_OUTPUT", "Consul"), ("KUBE-SERVICES", "kube-proxy"),
    ])
    func meshesAreKnownByTheirChains(_ chain: String, _ name: String) {
        let entry = Listing.Entry(family: .ip, table: "nat", chain: chain, text: "plain")
        let found = OtherRulesCheck.judge([entry], [])
        #expect(found.count == 1 && found.first?.severity == .problem)
        #expect(found.first?.sentence.contains("the table ip nat of \(name)") == true)
    }

    @Test func aTableThatOnlyFiltersIsFine() {
        let chain = Listing.Entry(
            family: .ip, table: "filter", chain: "OUTPUT", text: "filter hook 3 priority 0 policy 1")
        let rule = Listing.Entry(
            family: .ip, table: "filter", chain: "OUTPUT",
            text: "[payload load 2b @ transport header + 2 => reg 1 ][cmp eq reg 1 0x00005000 ][immediate reg 0 drop ]")
        #expect(OtherRulesCheck.judge([chain], [rule]).map(\.severity) == [.ok])
        let redirect = Listing.Entry(
            family: .ip, table: "filter", chain: "OUTPUT", text: "[target name REDIRECT rev 0 ]")
        #expect(OtherRulesCheck.judge([chain], [redirect]).map(\.severity) == [.warning])
    }

    @Test(arguments: [
        ("filter hook 3 priority 0 policy 0", "", 1), ("filter hook 1 priority 0 policy 0", "", 0),
        ("filter hook 0 priority -300 policy 1", "[immediate reg 0 drop ]", 1),
        (
            "filter hook 0 priority -300 policy 1",
            "[meta load l4proto => reg 1 ][cmp eq reg 1 0x00000006 ][counter ][immediate reg 0 drop ]", 1
        ),
        (
            "filter hook 0 priority -300 policy 1",
            "[meta load l4proto => reg 1 ][cmp eq reg 1 0x00000011 ][immediate reg 0 drop ]", 0
        ),
        ("route hook 3 priority -140 policy 1", "[immediate reg 1 0x00000001 ][meta set mark with reg 1 ]", 1),
        ("filter hook 1 priority -140 policy 1", "[immediate reg 1 0x00000001 ][meta set mark with reg 1 ]", 0),
    ])
    func whatTakesAllPacketsOrTheirMarksIsAWarning(_ chain: String, _ rule: String, _ warnings: Int) {
        let hooked = Listing.Entry(family: .ip, table: "other", chain: "c", text: chain)
        let rules = rule.isEmpty ? [] : [Listing.Entry(family: .ip, table: "other", chain: "c", text: rule)]
        let found = OtherRulesCheck.judge([hooked], rules)
        #expect(found.count { $0.severity == .warning } == warnings)
    }
}
