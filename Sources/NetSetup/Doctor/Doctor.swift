import Addressing

/// Looks at the network namespace that it runs in and says what keeps the sidecar from working, as far as it may look.
package struct Doctor {
    /// What should be, from the environment of the proxy.
    package struct Expectation: Sendable {
        package var isTransparent: Bool
        package var settings: CaptureSettings
        /// Ports that the proxy listens on besides the capture ports, with the variables that name them.
        package var ports: [(port: UInt16, variable: String)]

        package init(isTransparent: Bool, settings: CaptureSettings, ports: [(port: UInt16, variable: String)]) {
            self.isTransparent = isTransparent
            self.settings = settings
            self.ports = ports
        }
    }

    private let facts: SystemFacts
    private let expectation: Expectation

    package init(_ expectation: Expectation) {
        self.init(expectation, SystemFacts.gather(CapturePlan(expectation.settings)))
    }

    init(_ expectation: Expectation, _ facts: SystemFacts) {
        self.expectation = expectation
        self.facts = facts
    }

    /// What was found, in the order in which it is best read.
    package var findings: [Diagnosis] {
        let processes = ProcessCheck(facts, expectation)
        var findings = KernelCheck.findings(facts, expectation)
        findings += processes.findings
        findings += CapabilityCheck.findings(proxies: processes.proxies, facts, expectation)
        findings += SocketCheck.findings(proxies: processes.proxies, facts, expectation)
        findings += UserCheck.findings(facts, expectation)
        findings += CaptureCheck.findings(facts, expectation)
        findings += OtherRulesCheck.findings(facts, expectation)
        return findings + SysctlCheck.findings(facts, expectation)
    }
}
