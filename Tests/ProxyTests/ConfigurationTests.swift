import Addressing
import Testing

@testable import Proxy

@Suite struct ConfigurationTests {
    private func parse(_ environment: [String: String]) throws(ConfigurationProblems) -> Configuration {
        try Configuration.parse(environment, usableCPUs: 8)
    }

    private func problems(_ environment: [String: String]) -> [String] {
        do throws(ConfigurationProblems) {
            _ = try parse(environment)
            return []
        } catch {
            return error.sentences
        }
    }

    @Test func anEmptyEnvironmentGivesTheDefaults() throws {
        let configuration = try parse([:])
        #expect(configuration.inbound.listenPort == 8443)
        #expect(configuration.inbound.upstream.authority == "localhost:8000")
        #expect(configuration.inbound.identityHeaders == [])
        #expect(configuration.inbound.preserveHost == nil)
        #expect(!configuration.capture.isTransparent)
        #expect(configuration.capture.excludeOutboundPorts.description == "53")
        #expect(configuration.capture.proxyMark == Configuration.Mark(value: 0x5c1, mask: 0xfff))
        #expect(configuration.outbound.mtlsCIDRs.count == 5)
        #expect(configuration.outbound.verify == .full)
        #expect(configuration.tls.checksPeerExpiry)
        #expect(configuration.outbound.proxyPort == nil)
        #expect(configuration.monitor.port == 8081)
        #expect(configuration.workerThreads == 2)
        #expect(configuration.timeouts.response == 0)
        #expect(configuration.ownPorts.description == "8081,8443")
    }

    @Test(arguments: [
        ("http://h/", "http://h/"), ("http://u:p@h/", "http://[redacted]@h/"),
        ("http://h/?t=1", "http://h/?[redacted]"),
        ("http://u@h:1/a?b#c", "http://[redacted]@h:1/a?[redacted]"), ("http://h/#t", "http://h/#[redacted]"),
        ("http://u:p/w@h/", "http://[redacted]@h/"), ("http://u:p@w@h/", "http://[redacted]@h/"),
        ("http://u:p?w@h/", "http://[redacted]"), ("http://u:p#w@h/?x", "http://[redacted]"),
        ("http://h/?m=a@b", "http://h/?[redacted]"), ("u:p@h:80", "[redacted]@h:80"), ("h:80/?t", "h:80/?[redacted]"),
        ("5m", "5m"), ("", ""), ("san:a,b*", "san:a,b*"), ("10.0.0.0/33", "10.0.0.0/33"),
    ])
    func secretsOfURLsAreNotRepeated(_ value: String, _ expected: String) { #expect(Redaction.text(value) == expected) }

    @Test(arguments: [
        ["UPSTREAM_URL": "http://u:SECRET@h/"], ["UPSTREAM_URL": "http://h/?t=SECRET"],
        ["UPSTREAM_READINESS_URL": "https://h/?token=SECRET"], ["UPSTREAM_READINESS_URL": "http://u:SECRET@h/"],
        ["UPSTREAM_READINESS_URL": "localhost:1/?SECRET"], ["CDH_URL": "http://u:SECRET@h/"],
        ["TLS_LISTEN_PORT": "1", "HTTPS_PORT": "u:SECRET@h"],
        ["APP_PROBES": #"{"/app-health/a/livez":{"httpGet":{"port":1,"path":"/ ?t=SECRET"}}}"#],
        ["APP_PROBES": #"{"/app-health/a/livez":{"httpGet":{"port":1,"httpHeaders":"Bearer SECRET"}}}"#],
        ["APP_PROBES": #"{"/app-health/a/livez":{"httpGet":{"port":1,"host":"u:SECRET@h"}}}"#],
        ["APP_PROBES": #"{"/a?SECRET":{}}"#],
    ])
    func problemsNameTheVariableWithoutItsSecrets(_ environment: [String: String]) throws {
        let problems = problems(environment).joined(separator: "\n")
        #expect(environment.keys.contains { problems.contains($0) })
        #expect(!problems.contains("SECRET"))
    }

    @Test(arguments: [
        ("http://localhost:8081", true), ("http://LOCALHOST.:8081/x", true), ("h2c://127.1.2.3:8081", true),
        ("http://[::1]:8081", true), ("http://0.0.0.0:8081", true),
        ("http://localhost:8082", false), ("http://app.test:8081", false),
    ])
    func theApplicationIsNotTheMonitorPort(_ url: String, _ isRefused: Bool) {
        let problems = problems(["UPSTREAM_URL": url])
        #expect(problems.contains { $0.contains("UPSTREAM_URL") && $0.contains("MONITOR_PORT") } == isRefused)
        #expect(self.problems(["UPSTREAM_URL": url, "TLS_LISTEN_PORT": "", "TRANSPARENT": "true"]).isEmpty)
    }

    @Test func peersMayOutliveTheirCertificates() throws {
        #expect(try !parse(["PEER_EXPIRY_CHECK": "false"]).tls.checksPeerExpiry)
        #expect(problems(["PEER_EXPIRY_CHECK": "later"]).first?.contains("PEER_EXPIRY_CHECK=later") == true)
    }

    @Test func emptyDisablesThePortAndZeroTheMonitor() throws {
        let configuration = try parse(["TLS_LISTEN_PORT": "", "MONITOR_PORT": "0", "TRANSPARENT": "true"])
        #expect(configuration.inbound.listenPort == nil)
        #expect(configuration.monitor.port == nil)
    }

    @Test func theForwardProxyListensOnLoopbackOnly() throws {
        let configuration = try parse(["TLS_LISTEN_PORT": "", "OUTBOUND_PROXY_PORT": "3128"])
        #expect(configuration.outbound.proxyPort == 3128)
        let entries = ListenerPlan(configuration).entries
        #expect(entries.map(\.endpoint.description) == ["127.0.0.1:3128", "[::1]:3128"])
        #expect(entries.allSatisfy { $0.role == .forwardProxy && !$0.options.isTransparent })
        #expect(try parse(["OUTBOUND_PROXY_PORT": ""]).outbound.proxyPort == nil)
    }

    @Test func anAliasServesUnlessItContradicts() throws {
        #expect(try parse(["HTTPS_PORT": "9443"]).inbound.listenPort == 9443)
        #expect(try parse(["HTTPS_PORT": "9443", "TLS_LISTEN_PORT": "9443"]).inbound.listenPort == 9443)
        let said = problems(["HTTPS_PORT": "9443", "TLS_LISTEN_PORT": "9444"])
        #expect(said.count == 1)
        #expect(said.first?.contains("HTTPS_PORT=9443") == true)
    }

    @Test func allProblemsAreSaidAtOnce() {
        let said = problems([
            "TLS_LISTEN_PORT": "x", "TRANSPARENT": "yes", "OUTBOUND_MTLS_CIDRS": "10.0.0.0/33,y", "PROXY_UID": "0",
        ])
        #expect(said.count == 5)
        for part in ["TLS_LISTEN_PORT=x", "TRANSPARENT=yes", "10.0.0.0/33", "\"y\"", "PROXY_UID=0"] {
            #expect(said.contains { $0.contains(part) }, "\(part)")
        }
    }

    @Test func headersAreChosenByNameOrAllAtOnce() throws {
        #expect(try parse(["INJECT_CLIENT_HEADERS": "true"]).inbound.identityHeaders == [.tlsInfo, .cn, .subject])
        #expect(
            try parse(["INJECT_CLIENT_HEADERS": "xfcc, client-cert"]).inbound.identityHeaders == [.xfcc, .clientCert])
        #expect(try parse(["INJECT_CLIENT_HEADERS": "false"]).inbound.identityHeaders == [])
        #expect(problems(["INJECT_CLIENT_HEADERS": "cn,xx"]).count == 1)
    }

    @Test func verificationIsFullByNameOrByChain() throws {
        #expect(try parse(["OUTBOUND_VERIFY": "ca"]).outbound.verify == .chainOnly)
        #expect(try parse(["OUTBOUND_VERIFY": "san:spiffe://a/*, b"]).outbound.verify == .sans(["spiffe://a/*", "b"]))
        #expect(problems(["OUTBOUND_VERIFY": "san:"]).count == 1)
    }

    @Test(
        arguments: [
            (["MONITOR_PORT": "8443"], "TLS_LISTEN_PORT and MONITOR_PORT"),
            (["OUTBOUND_PROXY_PORT": "8443"], "TLS_LISTEN_PORT and OUTBOUND_PROXY_PORT"),
            (["OUTBOUND_PROXY_PORT": "8081"], "OUTBOUND_PROXY_PORT and MONITOR_PORT"),
            (
                ["TRANSPARENT": "true", "INBOUND_CAPTURE_PORT": "15001"],
                "INBOUND_CAPTURE_PORT and OUTBOUND_CAPTURE_PORT"
            ),
            (["CAPTURE_MARK": "0x5c1/0xfff"], "CAPTURE_MARK"), (["CAPTURE_TABLE": "254"], "CAPTURE_TABLE=254"),
            (["TLS_LISTEN_PORT": ""], "nothing to do"),
            (["TRANSPARENT": "true", "EXCLUDE_OUTBOUND_UIDS": "1337"], "PROXY_UID"),
        ] as [([String: String], String)])
    func whatDoesNotGoTogetherIsSaid(_ environment: [String: String], _ part: String) {
        let said = problems(environment)
        #expect(said.count == 1)
        #expect(said.first?.contains(part) == true)
    }

    @Test(arguments: [
        "FORWARD_PORT", "POLICY_FILE", "TLS_CERT_URI", "CDH_URL",
    ])
    func aFeatureThatIsNotThereIsRefusedNotIgnored(_ name: String) {
        #expect(problems([name: "1"]).first?.contains("\(name)=1 is not supported yet") == true)
        #expect(problems([name: ""]).isEmpty)
    }

    @Test(
        arguments: [
            ("http://a", "a", 80, ""), ("http://a:8000/", "a:8000", 8000, ""), ("https://a/x/y/", "a", 443, "/x/y"),
            ("http://[::1]:8000/b", "[::1]:8000", 8000, "/b"), ("HTTP://127.0.0.1", "127.0.0.1", 80, ""),
        ] as [(String, String, UInt16, String)])
    func upstreamURLsAreTakenApart(_ text: String, _ authority: String, _ port: UInt16, _ path: String) throws {
        let url = try UpstreamURL(text)
        #expect(url.authority == authority)
        #expect(url.port == port)
        #expect(url.basePath == path)
    }

    @Test(arguments: [
        "", "a", "//a", "ftp://a", "http://", "http://:80", "http://a:0", "http://a:x", "http://[::1", "http://[a]",
        "http://u@a", "http://a?q", "http://a b",
    ])
    func otherURLsAreRefused(_ text: String) {
        #expect(throws: UpstreamURL.Malformed.self) { try UpstreamURL(text) }
    }
}
