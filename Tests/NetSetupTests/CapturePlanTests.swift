import Addressing
import Testing

@testable import NetSetup

@Suite struct CapturePlanTests {
    private func lines(_ settings: CaptureSettings, chain: String) throws -> [String] {
        let plan = CapturePlan(settings)
        return try #require(plan.chains.first { $0.name == chain }).rules.map(\.text)
    }

    @Test func theDefaultRulesetIsThis() {
        #expect(
            CapturePlan(CaptureSettings()).nftText == """
                table inet sidecar
                delete table inet sidecar
                table inet sidecar {
                    chain prerouting {
                        type filter hook prerouting priority mangle; policy accept;
                        meta l4proto != tcp accept
                        iifname "lo" meta mark & 0xfff == 0x5c0 meta l4proto tcp tproxy to :15001 counter accept
                        iifname "lo" meta mark & 0xfff == 0x5c0 counter drop
                        iifname "lo" accept
                        fib daddr type != local accept
                        tcp dport 8081 accept
                        tcp dport 8443 accept
                        tcp dport 15001 accept
                        tcp dport 15006 accept
                        tcp flags & (syn | ack) == syn meta l4proto tcp tproxy to :15006 counter accept
                        tcp flags & (syn | ack) == syn counter drop
                        socket transparent 1 counter accept
                    }
                    chain output {
                        type route hook output priority mangle; policy accept;
                        meta l4proto != tcp meta mark & 0xfff == 0x5c0 drop
                        meta l4proto != tcp accept
                        meta mark & 0xfff == 0x5c1 counter accept
                        tcp sport 8081 tcp flags & (syn | ack) == syn counter drop
                        tcp sport 8081 accept
                        tcp sport 8443 tcp flags & (syn | ack) == syn counter drop
                        tcp sport 8443 accept
                        meta skuid 1337 counter accept
                        fib daddr type local accept
                        ip saddr 127.0.0.0/8 accept
                        ip6 saddr ::1/128 accept
                        tcp dport 53 accept
                        meta mark set meta mark & 0xfffff000 | 0x5c0 counter
                    }
                    chain postrouting {
                        type filter hook postrouting priority mangle; policy accept;
                        meta mark & 0xfff == 0x5c0 oifname != "lo" counter drop
                    }
                }

                """)
    }

    @Test func everyRedirectIsFollowedByADrop() throws {
        // tproxy lets a packet through when nobody listens: what follows must not.
        for settings in [CaptureSettings(), CaptureSettings(includeInboundPorts: PortSet([80...80]))] {
            for chain in CapturePlan(settings).chains {
                for (index, rule) in chain.rules.enumerated() {
                    guard rule.actions.contains(where: { if case .redirect = $0 { true } else { false } }) else {
                        continue
                    }
                    let next = try #require(chain.rules.dropFirst(index + 1).first)
                    #expect(next.actions.last == .drop)
                    #expect(next.matches == rule.matches.filter { $0 != .isTCP(true) })
                }
            }
        }
    }

    @Test func policyRoutingCoversBothFamilies() {
        #expect(
            CapturePlan(CaptureSettings()).ipCommands == [
                "ip -4 rule add priority 1480 fwmark 0x5c0/0xfff lookup 1480",
                "ip -4 rule add priority 1481 from 127.0.0.0/8 iif lo lookup 1480",
                "ip -4 rule add priority 1482 fwmark 0x5c0/0xfff unreachable",
                "ip -6 rule add priority 1480 fwmark 0x5c0/0xfff lookup 1480",
                "ip -6 rule add priority 1481 from ::1/128 iif lo lookup 1480",
                "ip -6 rule add priority 1482 fwmark 0x5c0/0xfff unreachable",
                "ip -4 route replace local default dev lo table 1480",
                "ip -6 route replace local default dev lo table 1480",
            ])
    }

    @Test func includedInboundPortsAloneAreCaptured() throws {
        let settings = CaptureSettings(includeInboundPorts: try PortSet(parsing: "80,8000-8100"))
        #expect(
            try lines(settings, chain: "prerouting").suffix(2) == [
                "tcp dport 80 goto inbound", "tcp dport 8000-8100 goto inbound",
            ])
        #expect(try lines(settings, chain: "inbound").count == 3)
    }

    @Test func includedOutboundBlocksAndPortsBothHold() throws {
        let settings = CaptureSettings(
            includeOutboundCIDRs: [try #require(CIDR("10.0.0.0/8")), try #require(CIDR("fd00::/8"))],
            excludeOutboundCIDRs: [try #require(CIDR("10.9.0.0/16"))], includeOutboundPorts: try PortSet(parsing: "80"))
        let output = try lines(settings, chain: "output")
        #expect(
            output.suffix(4) == [
                "ip daddr 10.9.0.0/16 accept", "tcp dport 53 accept", "ip daddr 10.0.0.0/8 goto ports",
                "ip6 daddr fd00::/8 goto ports",
            ])
        #expect(try lines(settings, chain: "ports") == ["tcp dport 80 goto outbound"])
        #expect(try lines(settings, chain: "outbound") == ["meta mark set meta mark & 0xfffff000 | 0x5c0 counter"])
    }

    @Test func connectionsAreTrackedOnlyWhereAnExclusionNeedsIt() throws {
        #expect(!CapturePlan(CaptureSettings()).nftText.contains("ct "))
        for settings in [
            CaptureSettings(excludeInboundPorts: PortSet([9000...9000])), CaptureSettings(excludeOutboundUIDs: [7]),
            CaptureSettings(includeInboundPorts: PortSet([80...80])),
        ] {
            let output = try lines(settings, chain: "output")
            #expect(output.contains("ct direction reply accept"))
            #expect(!output.contains { $0.contains("sport") })
        }
    }

    @Test func excludedUsersAreKnownByTheirFirstPacket() throws {
        let output = try lines(CaptureSettings(excludeOutboundUIDs: [7]), chain: "output")
        #expect(output.contains("ct state new meta skuid 7 ct mark set ct mark & 0xfffff000 | 0x5c1 counter accept"))
        #expect(output.contains("ct mark & 0xfff == 0x5c1 counter accept"))
    }
}
