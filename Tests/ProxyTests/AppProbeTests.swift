import Testing

@testable import Proxy

@Suite struct AppProbeTests {
    private func read(_ text: String) -> (probes: AppProbes, problems: [String]) {
        var reader = AppProbeReader()
        let probes = reader.read(text)
        return (probes, reader.problems)
    }

    private func one(_ probe: String) -> (action: AppProbe.Action?, problems: [String]) {
        let (probes, problems) = read("{\"/app-health/web/livez\":\(probe)}")
        return (probes.list.first?.action, problems)
    }

    // MARK: what is read

    @Test func allKinds() {
        let (probes, problems) = read(
            """
            {"/app-health/web/livez":{"httpGet":{"path":"/healthz?x=1","port":8080,"scheme":"HTTPS",
              "httpHeaders":[{"name":"A","value":"b"}]},"timeoutSeconds":3,"periodSeconds":10,"initialDelaySeconds":0,
              "successThreshold":1,"failureThreshold":3,"terminationGracePeriodSeconds":5},
             "/app-health/web/readyz":{"tcpSocket":{"port":5432}},
             "/app-health/db-1/startupz":{"grpc":{"port":9000,"service":"x"}}}
            """)
        #expect(problems == [])
        let question = HTTPQuestion(
            port: 8080, isTLS: true, target: "/healthz?x=1", fields: [.init(name: "A", value: "b")])
        #expect(
            probes.list == [
                AppProbe(path: "/app-health/web/livez", action: .http(question), timeoutSeconds: 3),
                AppProbe(path: "/app-health/web/readyz", action: .tcp(port: 5432), timeoutSeconds: 1),
                AppProbe(
                    path: "/app-health/db-1/startupz", action: .grpc(port: 9000, service: "x"), timeoutSeconds: 1),
            ])
        #expect(probes["/app-health/web/readyz"]?.port == 5432)
        #expect(probes["/app-health/web/startupz"] == nil)
        #expect(probes.on(9000).map(\.path) == ["/app-health/db-1/startupz"])
        #expect(read("{}").probes.isEmpty)
    }

    @Test(arguments: [
        (#"{"port":1}"#, "/"), (#"{"port":1,"path":""}"#, "/"), (#"{"port":1,"path":null}"#, "/"),
        (#"{"port":1,"path":"healthz"}"#, "/healthz"), (#"{"port":1,"path":"/a%20b","scheme":"HTTP"}"#, "/a%20b"),
        (#"{"port":1,"host":"","scheme":"","httpHeaders":null}"#, "/"),
    ])
    func whatKubernetesLeavesOut(_ get: String, _ target: String) {
        let (action, problems) = one("{\"httpGet\":\(get)}")
        #expect(problems == [])
        #expect(action == .http(HTTPQuestion(port: 1, isTLS: false, target: target, fields: [])))
    }

    @Test func aServiceMayBeLeftOut() {
        #expect(one(#"{"grpc":{"port":1}}"#).action == .grpc(port: 1, service: ""))
        #expect(one(#"{"grpc":{"port":1,"service":null}}"#).action == .grpc(port: 1, service: ""))
    }

    @Test(arguments: [
        (#""timeoutSeconds":0"#, 1), (#""timeoutSeconds":null"#, 1), (#""timeoutSeconds":86400"#, 86_400),
        (#""grpc":null"#, 1),
    ])
    func aTimeoutThatSaysNothingIsTheDefault(_ field: String, _ seconds: Int) {
        let (probes, problems) = read("{\"/app-health/web/livez\":{\"tcpSocket\":{\"port\":1},\(field)}}")
        #expect(problems == [])
        #expect(probes.list.first?.timeoutSeconds == seconds)
    }

    // MARK: what is wrong

    @Test(arguments: [
        (#"{"exec":{"command":["true"]}}"#, "exec"), (#"{}"#, "has 0"), (#"[]"#, "an array"),
        (#"{"httpGet":{"port":1},"tcpSocket":{"port":1}}"#, "has 2"), (#"{"httpget":{"port":1}}"#, "\"httpget\""),
        (#"{"httpGet":{}}"#, "httpGet.port is missing"), (#"{"httpGet":{"port":"http"}}"#, "the text \"http\""),
        (#"{"httpGet":{"port":"80"}}"#, "httpGet.port"), (#"{"httpGet":{"port":0}}"#, "and is 0"),
        (#"{"httpGet":{"port":65536}}"#, "65536"), (#"{"httpGet":{"port":-1}}"#, "and is -1"),
        (#"{"httpGet":{"port":80.5}}"#, "80.5"), (#"{"tcpSocket":{"port":true}}"#, "tcpSocket.port"),
        (#"{"grpc":{"port":null}}"#, "grpc.port"), (#"{"httpGet":{"port":1,"path":"/a b"}}"#, "httpGet.path"),
        (#"{"httpGet":{"port":1,"path":"/a#b"}}"#, "httpGet.path"),
        (#"{"httpGet":{"port":1,"path":"/a\r\nX: y"}}"#, "httpGet.path"),
        (#"{"httpGet":{"port":1,"path":7}}"#, "and is 7"),
        (#"{"httpGet":{"port":1,"scheme":"https"}}"#, "HTTP or HTTPS"),
        (#"{"httpGet":{"port":1,"host":"example.com"}}"#, "httpGet.host"),
        (#"{"tcpSocket":{"port":1,"host":"10.0.0.1"}}"#, "tcpSocket.host"),
        (#"{"httpGet":{"port":1,"headers":[]}}"#, "no field \"headers\""),
        (#"{"grpc":{"port":1,"x":1}}"#, "no field \"x\""),
        (#"{"httpGet":7}"#, "httpGet must be an object"), (#"{"grpc":{"port":1,"service":7}}"#, "grpc.service"),
        (#"{"httpGet":{"port":1,"httpHeaders":{}}}"#, "httpHeaders must be an array"),
        (#"{"httpGet":{"port":1,"httpHeaders":["A: b"]}}"#, "name and value"),
        (#"{"httpGet":{"port":1,"httpHeaders":[{"name":"A"}]}}"#, "name and value"),
        (#"{"httpGet":{"port":1,"httpHeaders":[{"name":"A b","value":""}]}}"#, "no field name"),
        (#"{"httpGet":{"port":1,"httpHeaders":[{"name":"","value":""}]}}"#, "no field name"),
        (#"{"httpGet":{"port":1,"httpHeaders":[{"name":"A","value":"b\r\nC: d"}]}}"#, "the value of A"),
        (#"{"tcpSocket":{"port":1},"timeoutSeconds":-1}"#, "timeoutSeconds"),
        (#"{"tcpSocket":{"port":1},"timeoutSeconds":86401}"#, "timeoutSeconds"),
        (#"{"tcpSocket":{"port":1},"timeoutSeconds":"1"}"#, "timeoutSeconds"),
        (#"{"tcpSocket":{"port":1},"periodSeconds":"1"}"#, "periodSeconds"),
    ])
    func aProblemNamesPathAndKey(_ probe: String, _ key: String) {
        let problems = one(probe).problems
        #expect(problems.count == 1, "\(problems)")
        #expect(problems.first?.hasPrefix("APP_PROBES /app-health/web/livez: ") == true)
        #expect(problems.first?.contains(key) == true, "\(problems)")
    }

    @Test(arguments: [
        "", "/", "livez", "/app-health", "/app-health/web", "/app-health/web/healthz", "/app-health/web/livez/",
        "/app-health//livez", "/health/web/livez", "/app-health/Web/livez", "/app-health/-web/livez",
        "/app-health/web-/livez", "/app-health/w_b/livez",
        "/app-health/" + String(repeating: "a", count: 64) + "/livez",
        "/app-health/é/livez", "app-health/web/livez",
    ])
    func aPathIsContainerAndKind(_ path: String) {
        let (probes, problems) = read("{\"\(path)\":{\"tcpSocket\":{\"port\":1}}}")
        #expect(probes.isEmpty)
        #expect(problems.count == 1 && problems[0].hasPrefix("APP_PROBES \(path): "))
    }

    @Test(arguments: [("[", "not valid JSON, at byte 2"), ("[]", "an object from path to probe"), ("x", "at byte 1")])
    func whatIsNoObjectIsRefused(_ text: String, _ reason: String) {
        #expect(read(text).problems.count == 1)
        #expect(read(text).problems[0].contains(reason))
    }

    @Test func allProblemsAreToldAtOnce() {
        let (_, problems) = read(
            #"{"/app-health/a/livez":{"exec":{}},"/app-health/b/livez":{"grpc":{"port":0}},"x":{}}"#)
        #expect(problems.count == 3)
    }

    @Test func limits() {
        func many(_ count: Int) -> String {
            let probes = (0..<count).map { "\"/app-health/c\($0)/livez\":{\"tcpSocket\":{\"port\":1}}" }
            return "{" + probes.joined(separator: ",") + "}"
        }
        #expect(read(many(AppProbeReader.maximumProbes)).problems == [])
        #expect(read(many(AppProbeReader.maximumProbes)).probes.list.count == 96)
        #expect(read(many(97)).problems == ["APP_PROBES lists 97 probes: 96 are the most"])
        let room = String(repeating: " ", count: AppProbeReader.maximumBytes - 2)
        #expect(read("{}" + room).problems == [])
        #expect(read("{} " + room).problems == ["APP_PROBES has 65537 bytes: 65536 are the most"])
        let name = String(repeating: "x", count: AppProbeReader.maximumServiceBytes)
        #expect(one("{\"grpc\":{\"port\":1,\"service\":\"\(name)\"}}").problems == [])
        #expect(one("{\"grpc\":{\"port\":1,\"service\":\"\(name)x\"}}").problems.count == 1)
    }

    @Test func portsOfTheSidecarAreRefused() {
        let probes = #"{"/app-health/web/livez":{"tcpSocket":{"port":8081}}}"#
        do throws(ConfigurationProblems) {
            _ = try Configuration.parse(["APP_PROBES": probes])
            Issue.record("accepted")
        } catch {
            #expect(error.sentences.count == 1)
            #expect(error.sentences[0].contains("/app-health/web/livez") && error.sentences[0].contains("MONITOR_PORT"))
        }
    }

    // MARK: what is asked

    private func request(_ fields: [HTTPQuestion.Field]) -> [String] {
        let question = HTTPQuestion(port: 80, isTLS: false, target: "/h", fields: fields)
        let text = String(
            decoding: question.request(authority: "10.0.0.1:80", userAgent: "kube-probe/1"), as: UTF8.self)
        return text.split(separator: "\r\n", omittingEmptySubsequences: false).map(String.init)
    }

    @Test func theRequestIsTheKubelets() {
        #expect(
            request([]) == [
                "GET /h HTTP/1.1", "Host: 10.0.0.1:80", "User-Agent: kube-probe/1", "Accept: */*", "Connection: close",
                "",
                "",
            ])
    }

    @Test func theManifestsFieldsWin() {
        let fields: [HTTPQuestion.Field] = [
            .init(name: "hOST", value: "web"), .init(name: "user-agent", value: "me"), .init(name: "Accept", value: ""),
            .init(name: "A", value: "1"), .init(name: "a", value: "2"),
        ]
        #expect(
            request(fields) == [
                "GET /h HTTP/1.1", "Host: web", "User-Agent: me", "A: 1", "a: 2", "Connection: close", "", "",
            ])
    }

    @Test func fieldsOfTheConnectionAndOfIdentityAreLeftOut() {
        let names = [
            "Connection", "Content-Length", "Transfer-Encoding", "Trailer", "Upgrade", "TE", "Expect", "X-Client-CN",
            "x_client_cn", "X-Forwarded-Client-Cert", "Client-Cert", "X-Kept", "X-Forwarded-Proto",
        ]
        let items = names.map { "{\"name\":\"\($0)\",\"value\":\"v\"}" }.joined(separator: ",")
        let (action, problems) = one("{\"httpGet\":{\"port\":1,\"httpHeaders\":[\(items)]}}")
        #expect(problems == [])
        let kept = ["X-Kept", "X-Forwarded-Proto"].map { HTTPQuestion.Field(name: $0, value: "v") }
        #expect(action == .http(HTTPQuestion(port: 1, isTLS: false, target: "/", fields: kept)))
    }

    @Test func theDocumentHidesWhatMayBeSecret() {
        let (probes, _) = read(
            #"{"/app-health/a/livez":{"httpGet":{"port":1,"path":"/h?token=t","httpHeaders":[{"name":"Authorization","value":"s"}]}},"/app-health/a/readyz":{"grpc":{"port":2}}}"#
        )
        #expect(
            probes.document
                == #"{"/app-health/a/livez":{"httpGet":{"path":"/h?[redacted]","port":1,"scheme":"HTTP","httpHeaders":[{"name":"Authorization","value":"[redacted]"}]},"timeoutSeconds":1},"/app-health/a/readyz":{"grpc":{"port":2,"service":""},"timeoutSeconds":1}}"#
        )
    }

    // MARK: remarks

    private func remarks(_ environment: [String: String]) throws -> [String] {
        try Configuration.parse(environment.merging(["TLS_LISTEN_PORT": "8443"]) { first, _ in first }).probeRemarks
    }

    @Test func whatIsNotMeantIsSaid() throws {
        let probes =
            #"{"/app-health/a/livez":{"tcpSocket":{"port":1}},"/app-health/a/readyz":{"httpGet":{"port":2,"scheme":"HTTPS"}},"/app-health/a/startupz":{"httpGet":{"port":3}}}"#
        let open = ["TRANSPARENT": "true", "INBOUND_PLAINTEXT": "probes"]
        #expect(try remarks([:]) == [])
        #expect(try remarks(["APP_PROBES": probes]) == [])
        #expect(try remarks(open).count == 1)
        let said = try remarks(open.merging(["APP_PROBES": probes]) { first, _ in first })
        #expect(said.count == 2 && said[0].contains("tcpSocket") && said[1].contains("HTTPS"))
        #expect(try remarks(["APP_PROBES": probes, "MONITOR_PORT": "0"]).count == 1)
    }
}
