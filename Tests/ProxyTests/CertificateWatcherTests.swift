import Addressing
import Glibc
import Logging
import Testing

@testable import Proxy

/// Values around the watcher: what is watched, when an end is announced, what is a warning.
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
        let pairs = [MaterialStatus.InForce(role: .server, certificate: leaf)]
        var notice = ExpiryNotice()
        let life = leaf.notAfter - leaf.notBefore
        #expect(notice.notices(pairs, now: leaf.notBefore + life / 2).isEmpty)
        let soon = notice.notices(pairs, now: leaf.notAfter - life / 10)
        #expect(soon.count == 1 && soon[0].contains("expires at"))
        #expect(notice.notices(pairs, now: leaf.notAfter - life / 20).isEmpty)
        let over = notice.notices(pairs, now: leaf.notAfter + 1)
        #expect(over.count == 1 && over[0].contains("expired at"))
        #expect(notice.notices(pairs, now: leaf.notAfter + 100).isEmpty)
        let renewed = authority.issue("server") { $0.end = 1 }.credentials().leaf
        #expect(notice.notices([.init(role: .server, certificate: renewed)], now: renewed.notAfter + 1).count == 1)
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

    init() throws {
        reactor = try Reactor()
        inotify = try Inotify(in: reactor) { [unowned self] in told = true }
    }

    /// Events are in the queue as soon as the change is made, so nothing has to be waited for.
    func take() -> Bool {
        defer { told = false }
        inotify?.ready(.readable)
        return told
    }
}
