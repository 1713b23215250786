import Addressing
import Glibc
import Logging
import Testing

@testable import Proxy

/// Values around the watcher: what is watched, and what is said of the time of certificates.
struct CertificateWatcherTests {
    @Test func everyDirectoryOnTheWayIsWatchedForTheNextStep() {
        #expect(
            WatchPlan.requests(["/etc/certs"]) == [
                WatchRequest(path: "/", entry: "etc"), WatchRequest(path: "/etc", entry: "certs"),
                WatchRequest(path: "/etc/certs", entry: nil), WatchRequest(path: "/etc/certs/..data", entry: nil),
            ])
    }

    @Test func aRelativePathBeginsWhereTheProcessIs() {
        #expect(
            WatchPlan.requests(["a/"]) == [
                WatchRequest(path: ".", entry: "a"), WatchRequest(path: "./a", entry: nil),
                WatchRequest(path: "./a/..data", entry: nil),
            ])
    }

    @Test func linksAreFollowedToTheirEndAndWatchedWhereTheyStand() {
        let links = [
            "/home": "cur/certs", "/cur": "v1", "/v1/certs/tls.crt": "../live/full.pem",
            "/v1/live/full.pem": "/store/1.pem",
        ]
        let requests = WatchPlan.requests(["/home"], ["tls.crt", "tls.key"]) { links[$0] }
        #expect(
            requests == [
                WatchRequest(path: "/", entry: "home"), WatchRequest(path: "/", entry: "cur"),
                WatchRequest(path: "/", entry: "v1"), WatchRequest(path: "/v1", entry: "certs"),
                WatchRequest(path: "/v1/certs", entry: nil), WatchRequest(path: "/v1/certs/..data", entry: nil),
                WatchRequest(path: "/v1/certs", entry: "tls.crt"), WatchRequest(path: "/v1", entry: "live"),
                WatchRequest(path: "/v1/live", entry: "full.pem"), WatchRequest(path: "/", entry: "store"),
                WatchRequest(path: "/store", entry: "1.pem"),
            ])
    }

    @Test func linksInACircleHaveAnEnd() {
        let requests = WatchPlan.requests(["/a/certs"]) { ["/a": "/b", "/b": "a"][$0] }
        #expect(requests.contains(WatchRequest(path: "/", entry: "a")))
        #expect(requests.contains(WatchRequest(path: "/", entry: "b")))
        #expect(requests.count < 10)
    }

    @Test func oneDirectoryMayMatterWholeAndAsAWay() throws {
        let directory = try TemporaryDirectory()
        directory.makeDirectory("inner")
        let seen = try Seen()
        // Whichever comes first: the kernel has one watch for it.
        for order in [[nil, "inner"], ["inner", nil]] {
            seen.inotify?.watch(order.map { WatchRequest(path: directory.path, entry: $0) })
            try directory.write("x", to: "file")
            #expect(seen.take())
        }
    }

    @Test func otherEntriesOfADirectoryOnTheWayDoNotMatter() throws {
        let directory = try TemporaryDirectory()
        let seen = try Seen()
        seen.inotify?.watch([WatchRequest(path: directory.path, entry: "wanted")])
        try directory.write("x", to: "other")
        #expect(!seen.take())
        directory.makeDirectory("wanted")
        #expect(seen.take())
    }

    @Test func aWriterThatKeepsItsFileOpenIsToldFromOneThatIsDone() throws {
        let directory = try TemporaryDirectory()
        try directory.write("x", to: "file")
        let seen = try Seen()
        seen.inotify?.watch([WatchRequest(path: directory.path, entry: nil)])
        let file = unsafe open("\(directory.path)/file", O_WRONLY)
        #expect(!seen.take(), "nothing is written yet")
        #expect(unsafe Glibc.write(file, "y", 1) == 1)
        #expect(seen.take() && seen.last == .partial)
        #expect(unsafe Glibc.write(file, "z", 1) == 1)
        close(file)
        #expect(seen.take() && seen.last == .whole)
    }

    @Test func whatIsNoLongerAskedForIsNotWatched() throws {
        let (first, second) = (try TemporaryDirectory(), try TemporaryDirectory())
        let seen = try Seen()
        seen.inotify?.watch([WatchRequest(path: first.path, entry: nil)])
        seen.inotify?.watch([WatchRequest(path: second.path, entry: nil), WatchRequest(path: "/no/such", entry: nil)])
        try first.write("x", to: "file")
        #expect(!seen.take())
        try second.write("x", to: "file")
        #expect(seen.take())
    }

    /// A link that leads out of the directory: no event tells of its target.
    @Test func whatNoEventTellsIsFoundByLookingNowAndThen() throws {
        let authority = Authority()
        let (home, elsewhere, ca) = (try TemporaryDirectory(), try TemporaryDirectory(), try TemporaryDirectory())
        func write(_ pair: IssuedPair) throws {
            try elsewhere.write(pair.certificatePEM + pair.keyPEM(), to: "all.pem")
        }
        try write(authority.issue("first"))
        try ca.write(authority.pair.certificatePEM, to: "ca.crt")
        home.link("tls.crt", to: "\(elsewhere.path)/all.pem")
        let source = CertificateSource(
            CertificateDirectories(server: home.path, client: "/no/such", ca: ca.path), needsServer: true,
            needsClient: false)
        let reactor = try Reactor()
        var taken: [String?] = []
        let watcher = try CertificateWatcher(
            LoadedCertificates(source, now: Int64(time(nil))), Logger(label: "test") { _ in SwiftLogNoOpLogHandler() },
            in: reactor, lookingEvery: 200_000
        ) { material in
            taken.append(material.server?.leaf.commonName)
            reactor.stop()
        }
        let limit = Deadline()
        try limit.attach(to: reactor)
        limit.action = { reactor.stop() }
        limit.set(after: 10_000_000)
        watcher.start()
        try write(authority.issue("second"))
        reactor.run()
        #expect(taken == ["second"])
        #expect(watcher.status.reloads == 1 && watcher.status.problems.isEmpty)
    }

    @Test func anEndIsAnnouncedOnceSoonAndOnceOver() {
        let authority = Authority()
        let leaf = authority.issue("server").credentials().leaf
        let files = [CertificateSurvey.File(role: .server, directory: "/d", name: "tls.crt", certificates: [leaf])]
        var notices = TimeNotices()
        let life = leaf.notAfter - leaf.notBefore
        #expect(notices.take(files, now: leaf.notBefore + life / 2).isEmpty)
        #expect(notices.take(files, now: leaf.notAfter - life / 3).isEmpty, "it is being renewed now")
        let soon = notices.take(files, now: leaf.notAfter - life / 6)
        #expect(soon.count == 1 && soon[0].hasPrefix("CN=server of /d/tls.crt expires at"))
        #expect(notices.take(files, now: leaf.notAfter - life / 20).isEmpty)
        let over = notices.take(files, now: leaf.notAfter + 1)
        #expect(over.count == 1 && over[0].contains("has expired at") && over[0].hasSuffix("renew it"))
        #expect(notices.take(files, now: leaf.notAfter + 100).isEmpty)
        let renewed = authority.issue("server") { $0.end = 1 }.credentials().leaf
        let next = [CertificateSurvey.File(role: .server, directory: "/d", name: "tls.crt", certificates: [renewed])]
        #expect(notices.take(next, now: renewed.notAfter + 1).count == 1)
    }

    /// One rule for the log of a reload, for `/ready` and for `certs check`.
    @Test func theLogOfAReloadSaysWhatTheCheckSays() throws {
        let authority = Authority()
        let (home, ca) = (try TemporaryDirectory(), try TemporaryDirectory())
        let pair = authority.issue("fresh") { $0.start = -5 }
        try home.write(pair.certificatePEM + pair.keyPEM(), to: "tls.crt")
        try ca.write(
            authority.pair.certificatePEM + Authority("Old CA") { $0.end = -60 }.pair.certificatePEM, to: "ca.crt")
        let source = CertificateSource(
            CertificateDirectories(server: home.path, client: "/no/such", ca: ca.path), needsServer: true,
            needsClient: false)
        let now = Int64(time(nil))
        let survey = CertificateSurvey.take(source, now: now)
        var notices = TimeNotices()
        let checked = survey.timeWarnings(now: now)
        #expect(checked.count == 2)
        #expect(notices.take(survey.files, now: now) == checked)
        #expect(notices.take(survey.files, now: now).isEmpty)
    }

    @Test(arguments: [
        (0, "0 seconds"), (119, "119 seconds"), (120, "2 minutes"), (7_199, "119 minutes"), (7_200, "2 hours"),
        (172_799, "47 hours"), (172_800, "2 days"), (-5, "0 seconds"),
    ])
    func timeSpansReadWell(_ seconds: Int64, _ text: String) { #expect(TimeSpan.text(seconds: seconds) == text) }
}

/// What an inotify instance has told.
private final class Seen {
    private let reactor: Reactor
    private(set) var inotify: Inotify?
    private var told = false
    private(set) var last: Inotify.Change?

    init() throws {
        reactor = try Reactor()
        inotify = try Inotify(in: reactor) { [unowned self] in (told, last) = (true, $0) }
    }

    /// Events are in the queue as soon as the change is made, so nothing has to be waited for.
    func take() -> Bool {
        defer { told = false }
        inotify?.ready(.readable)
        return told
    }
}
