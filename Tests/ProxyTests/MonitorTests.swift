import Addressing
import Testing

@testable import Proxy

@Suite struct MonitorTests {
    // MARK: flows

    private func flow(
        _ direction: Direction = .inbound, status: UInt16 = 200, path: String = "/a/b",
        identity: String = "spiffe://x/y",
        milliseconds: Int64 = 10
    ) throws -> Flow {
        var parser = RequestParser()
        let request = Array("GET \(path) HTTP/1.1\r\nHost: h.test\r\n\r\n".utf8)
        try #require(parser.parse(request.span, resumingAt: 0) == .complete)
        var connection = ConnectionRecord(direction, Endpoint(.loopbackV4, 9), at: 0)
        connection.peerIdentity = Array(identity.utf8)
        let record = RequestRecord(connection: connection)
        record.begin(at: 0)
        record.describe(parser.head, request.span, madeID: [])
        record.status = status
        return Flow(record, endedAt: milliseconds * 1_000, wallOffset: 0)
    }

    private func admits(_ query: String, _ flow: Flow) throws -> Bool {
        let request = MonitorRequest(.get, target: "/flows?\(query)", from: Endpoint(.loopbackV4, 1), body: [])
        return try FlowFilter(request.query).admits(flow)
    }

    @Test(arguments: [
        ("", true), ("direction=inbound", true), ("direction=outbound", false), ("status=200", true),
        ("status=2xx", true), ("status=4xx", false), ("status=201", false), ("path=/a", true), ("path=/b", false),
        ("method=GET", true), ("method=get", false), ("authority=h.test", true), ("authority=other", false),
        ("peer=127.0.0.1", true), ("peer=127.0.0.2", false), ("peer=spiffe://x/*", true), ("peer=spiffe://z/*", false),
        ("min_duration_ms=10", true), ("min_duration_ms=11", false), ("status=200&path=/a&method=GET", true),
        ("status=200&path=/z", false), ("path=%2Fa%2fb", true),
    ])
    func filtersAddUp(_ query: String, _ expected: Bool) throws { #expect(try admits(query, flow()) == expected) }

    @Test(arguments: [
        "direction=up", "status=", "status=6xx", "status=20x", "status=99999", "min_duration_ms=-1", "x=1",
    ])
    func whatIsNoFilterIsRefused(_ query: String) throws {
        let flow = try flow()
        #expect(throws: FlowFilter.Malformed.self) { try admits(query, flow) }
    }

    @Test func aTapKeepsWhatTheControlThreadCanTake() throws {
        var tap = FlowTap()
        tap.open()
        let flow = try flow()
        for _ in 0..<FlowTap.window {
            #expect(tap.hasRoom)
            tap.append(flow)
        }
        #expect(!tap.hasRoom)
        #expect(tap.takeBatch()?.flows.count == FlowTap.window)
        #expect(tap.takeBatch() == nil)
        #expect(!tap.hasRoom, "they are on their way")
        tap.taken(1)
        #expect(tap.hasRoom)
    }

    @Test func aTapTellsWhatItDroppedOnceThereIsRoom() throws {
        var tap = FlowTap()
        tap.open()
        let flow = try flow()
        for _ in 0..<FlowTap.window { tap.append(flow) }
        for _ in 0..<3 { tap.miss() }
        var batch = tap.takeBatch()
        let full = try #require(batch)
        #expect((full.flows.count, full.missed) == (FlowTap.window, 0), "they came before what was dropped")
        #expect(tap.takeBatch() == nil, "no word at every turn while there is no room")
        tap.taken(FlowTap.window)
        batch = tap.takeBatch()
        let rest = try #require(batch)
        #expect((rest.flows.count, rest.missed) == (0, 3))
        #expect(tap.takeBatch() == nil)
        tap.miss()
        tap.close()
        tap.open()
        #expect(tap.takeBatch() == nil, "nobody listened then who listens now")
    }

    // MARK: requests

    @Test(arguments: [
        ("/p", "/p", ""), ("/p?", "/p", ""), ("/p?a=1&b", "/p", "a=1;b="),
        ("/p?a=b%3dc+d&&x=%zz%4", "/p", "a=b=c d;x=%zz%4"),
    ])
    func queriesAreDecoded(_ target: String, _ path: String, _ query: String) {
        let request = MonitorRequest(.get, target: target, from: Endpoint(.loopbackV4, 1), body: [])
        #expect(request.path == path)
        #expect(request.query.map { "\($0.name)=\($0.value)" }.joined(separator: ";") == query)
    }

    @Test(
        arguments: [
            ("http://localhost:8000/up?x=1", "localhost", 8000, "/up", "?x=1"), ("http://a", "a", 80, "/", ""),
            ("http://[::1]:1/", "::1", 1, "/", ""), ("http://h/health/", "h", 80, "/health/", ""),
            ("http://h?x", "h", 80, "/", "?x"),
        ] as [(String, String, UInt16, String, String)])
    func readinessURLsAreRead(_ text: String, _ host: String, _ port: UInt16, _ path: String, _ query: String) throws {
        let url = try #require(ReadinessURL(text))
        #expect((url.host, url.port, url.path, url.query) == (host, port, path, query))
    }

    @Test(arguments: [
        "", "https://h/", "h2c://h/", "http://", "http://h/#f", "http://u@h/", "http://h/ x", "http://h/\r\nX: y",
    ])
    func otherReadinessURLsAreRefused(_ text: String) { #expect(ReadinessURL(text) == nil) }

    // MARK: pages of a browser

    @Test(arguments: [
        ("localhost", true), ("LOCALHOST:8081", true), ("127.0.0.1:1", true), ("127.5.5.5", true), ("[::1]:8081", true),
        ("[::1]", true), ("evil.example", false), ("evil.example:8081", false), ("localhost.evil.example", false),
        ("10.0.0.1:8081", false), ("[fd00::1]:8081", false), ("[::1", false), ("", false), ("0.0.0.0", false),
    ])
    func loopbackIsKnownByItsNames(_ host: String, _ expected: Bool) {
        #expect(MonitorRequest.isLoopback(host) == expected)
        var request = MonitorRequest(.post, target: "/quit", from: Endpoint(.loopbackV4, 1), body: [])
        #expect(!request.mayBeOfAPage)
        request.host = host
        #expect(request.mayBeOfAPage == !expected)
    }

    @Test func whatBrowsersAddGivesAPageAway() {
        var request = MonitorRequest(.post, target: "/quit", from: Endpoint(.loopbackV4, 1), body: [])
        request.host = "localhost:8081"
        for (site, isForeign) in [("none", false), ("same-origin", false), ("same-site", true), ("cross-site", true)] {
            request.fetchSite = site
            #expect(request.mayBeOfAPage == isForeign, "\(site)")
        }
        request.fetchSite = nil
        request.origin = "null"
        #expect(request.mayBeOfAPage)
    }

    // MARK: rings and rates

    @Test func aRingForgetsTheOldest() {
        var ring = HandshakeRing()
        for number in 1...HandshakeRing.capacity + 5 {
            ring.append(
                HandshakeFailure(
                    time: Int64(number), side: .server, direction: .inbound, peer: Endpoint(.loopbackV4, 1),
                    serverName: nil, offered: [], reason: .expired, detail: "", certificate: nil))
        }
        let times = ring.latest.map(\.time)
        #expect(times == (6...Int64(HandshakeRing.capacity + 5)).reversed())
    }

    @Test func aRateAdmitsSoManyASecond() {
        var rate = RateLimit(perSecond: 2)
        #expect(
            [0, 1, 2, 999_999, 1_000_000, 1_000_001, 1_000_002].map { rate.admits(at: $0) } == [
                true, true, false, false, true, true, false,
            ])
    }

    @Test func eachReasonHasAdviceOfItsOwn() {
        for side in TLSSide.allCases {
            for reason in TLSError.Reason.allCases { #expect(HandshakeAdvice.sentence(reason, side).count > 20) }
        }
    }

    @Test func aSurveyWaitsForAllAndNoLonger() {
        var told: [[Int: String]] = []
        let survey = Survey<String>(of: [1, 2]) { told.append($0) }
        survey.answered(1, "a")
        survey.answered(1, "again")
        survey.answered(7, "unasked")
        #expect(told.isEmpty)
        survey.answered(2, "b")
        #expect(told == [[1: "a", 2: "b"]])
        survey.finish()
        #expect(told.count == 1)
        let late = Survey<String>(of: [1, 2]) { told.append($0) }
        late.answered(2, "c")
        late.finish()
        #expect(told.last == [2: "c"])
    }

    @Test func aQuestionIsGivenUpInTimeHoweverManyFollow() throws {
        let reactor = try Reactor()
        let surveys = try WorkerSurveys(in: reactor)
        surveys.workerStarted(0)  // and never answers
        let start = reactor.now
        var firstTook: Int64 = 0
        surveys.count { _ in
            firstTook = reactor.now - start
            reactor.stop()
        }
        let again = Deadline()
        try again.attach(to: reactor)
        var repeats = 0
        again.action = {
            repeats += 1
            guard repeats < 12 else { return reactor.stop() }
            surveys.count { _ in }
            again.set(after: WorkerSurveys.patience / 4)
        }
        again.set(after: WorkerSurveys.patience / 4)
        reactor.run()
        #expect(firstTook >= WorkerSurveys.patience && firstTook < 2 * WorkerSurveys.patience)
    }

    @Test func documentsHaveTheirCommas() {
        var json = JSONWriter()
        json.object { json in
            json.field("a", "x\"")
            json.field("n", Int64(-1))
            json.field("none", String?.none)
            json.array("l") { json in
                json.object { $0.field("t", true) }
                json.object { _ in }
            }
            json.field("list", ["p", "q"])
            json.object("o") { $0.field("z", "") }
        }
        #expect(
            String(decoding: json.bytes, as: UTF8.self)
                == #"{"a":"x\"","n":-1,"none":null,"l":[{"t":true},{}],"list":["p","q"],"o":{"z":""}}"#)
    }
}
