import Testing

@testable import Proxy

@Suite struct CountersTests {
    @Test func tablesHaveARowForEachLabel() {
        let counters = Counters()
        #expect(counters.durations.count == Direction.allCases.count * StatusClass.allCases.count)
        #expect(counters.upstreamErrors.count == Direction.allCases.count * UpstreamErrorReason.allCases.count)
        #expect(counters.handshakeFailures.count == TLSSide.allCases.count * TLSError.Reason.allCases.count)
    }

    @Test func rowsDoNotOverlap() {
        var rows: Set<Int> = []
        for direction in Direction.allCases {
            for status in StatusClass.allCases { rows.insert(Counters.row(direction, status)) }
        }
        #expect(rows == Set(0..<12))
        rows = []
        for direction in Direction.allCases {
            for reason in UpstreamErrorReason.allCases { rows.insert(Counters.row(direction, reason)) }
        }
        #expect(rows == Set(0..<26))
        rows = []
        for side in TLSSide.allCases {
            for reason in TLSError.Reason.allCases { rows.insert(Counters.row(side, reason)) }
        }
        #expect(rows == Set(0..<36))
    }

    @Test func namesDiffer() {
        #expect(Set(UpstreamErrorReason.allCases.map { "\($0.name)" }).count == UpstreamErrorReason.allCases.count)
        #expect(Set(StatusClass.allCases.map { "\($0.name)" }).count == StatusClass.allCases.count)
    }

    @Test(
        arguments: [
            (0, StatusClass.none), (99, .none), (100, .informational), (101, .informational), (200, .success),
            (299, .success), (304, .redirection), (431, .clientError), (500, .serverError), (999, .serverError),
        ] as [(UInt16, StatusClass)])
    func statusesHaveAClass(_ status: UInt16, _ expected: StatusClass) { #expect(StatusClass(status) == expected) }

    @Test(
        arguments: [
            (-5, 0), (0, 0), (1_000, 0), (1_001, 1), (2_500, 1), (60_000_000, 14), (60_000_001, 15), (.max / 2, 15),
        ] as [(Int64, Int)])
    func durationsFallIntoBuckets(_ microseconds: Int64, _ bucket: Int) {
        var histogram = Histogram()
        histogram.record(microseconds)
        #expect(histogram.buckets[bucket] == 1)
        #expect(histogram.count == 1)
        #expect(histogram.microseconds == UInt64(max(0, microseconds)))
    }

    @Test func boundsRise() {
        for index in 1..<Histogram.bounds.count { #expect(Histogram.bounds[index - 1] < Histogram.bounds[index]) }
        #expect(Histogram().buckets.count == Histogram.bounds.count + 1)
    }

    /// Counts everything once.
    private func busy() -> Counters {
        var counters = Counters()
        counters.requestBegan(.inbound)
        counters.requestEnded(.inbound, 200, after: 7)
        counters.sentUp(.inbound, 3)
        counters.sentDown(.outbound, 4)
        counters.connectionOpened(.inbound)
        counters.connectionOpened(.inbound)
        counters.connectionClosed(.inbound)
        counters.upstreamOpened(.outbound, after: 9)
        counters.upstreamClosed(.outbound)
        counters.upstreamFailed(.outbound, .responseTimeout)
        counters.handshook(.client, isResumed: true)
        counters.handshakeFailed(.server, .connection)
        counters.connected(true, after: 5)
        counters.connected(false, after: 5)
        counters.upgraded(false, after: 5)
        counters.upgraded(true, after: 5)
        counters.plaintext.learn(80)
        counters.plaintext.allowed(80)
        counters.plaintext.probed(80)
        counters.plaintext.refused(81)
        counters.retries += 1
        counters.http2Violations += 1
        counters.connectionLimitReached += 1
        counters.flowsDropped += 1
        counters.handshakeReportsDropped += 1
        counters.outboundFailures += 1
        return counters
    }

    private func page(_ counters: Counters) -> [String] {
        let page = MetricsPage(
            counters: counters, expiries: [:], reloads: ReloadStatus(), droppedLogLines: 0, droppedFlows: 0,
            isReady: false, isDraining: false, version: "1", process: ProcessUsage())
        return String(decoding: page.text(), as: UTF8.self).split(separator: "\n").map(String.init)
    }

    /// Each number of the page, so that one that a sum forgets shows.
    @Test func sumsAreOfEverything() {
        var sum = busy()
        sum.add(busy())
        let once = page(busy())
        let twice = page(sum)
        #expect(once.count == twice.count)
        var moved = 0
        for (one, two) in zip(once, twice) where !one.hasPrefix("#") && !one.hasPrefix("sidecar_build_info") {
            let (name, value) = (one.prefix { $0 != " " }, Double(one.split(separator: " ")[1]) ?? -1)
            #expect(two.hasPrefix(name))
            #expect(Double(two.split(separator: " ")[1]) == 2 * value, "\(name)")
            if value > 0 { moved += 1 }
        }
        #expect(moved > 60)
    }
}

@Suite struct PortCountersTests {
    @Test func onlyPortsThatWereAnsweredOnHaveARow() {
        var ports = PortCounters()
        ports.refused(4_000)
        ports.learn(8_080)
        ports.refused(8_080)
        ports.allowed(8_080)
        #expect(ports.portCount == 1)
        #expect((ports.rows[0].port, ports.rows[0].refused, ports.rows[0].allowed) == (8_080, 1, 1))
        #expect((ports.others.refused, ports.others.allowed) == (1, 0))
    }

    @Test func rowsAreLimited() {
        var ports = PortCounters()
        for port in UInt16(1)...1_000 {
            ports.learn(port)
            ports.allowed(port)
        }
        #expect(ports.portCount == PortCounters.maximumPorts)
        #expect(ports.others.allowed == 1_000 - UInt64(PortCounters.maximumPorts))
        #expect(ports.total.allowed == 1_000)
        var sum = PortCounters()
        for port in UInt16(2_000)...2_010 { sum.learn(port) }
        sum.add(ports)
        #expect(sum.portCount == PortCounters.maximumPorts)
        #expect(sum.total.allowed == 1_000, "what finds no row is counted with the others")
    }

    private func counters(_ ports: ClosedRange<UInt16>) -> Counters {
        var counters = Counters()
        for port in ports {
            counters.plaintext.learn(port)
            counters.plaintext.allowed(port)
            counters.plaintext.probed(port)
            counters.plaintext.refused(port)
        }
        return counters
    }

    private func rows(_ ports: PortCounters) -> [UInt16: UInt64] {
        var rows: [UInt16: UInt64] = [0: ports.others.allowed]
        for index in 0..<ports.portCount { rows[ports.rows[index].port] = ports.rows[index].allowed }
        return rows
    }

    /// Whichever worker learns of another port, and in whatever order their counts are added.
    @Test func aRowOfTheSumStaysForGood() throws {
        let surveys = try WorkerSurveys(in: Reactor())
        surveys.counted(0, counters(100...119))
        surveys.counted(1, counters(200...219))
        var before = rows(surveys.total.plaintext)
        #expect(before.count == PortCounters.maximumPorts + 1)
        for last in UInt16(120)...140 {
            for worker in [0, 1] {
                surveys.counted(worker, worker == 0 ? counters(100...last) : counters(200...last + 100))
                let after = rows(surveys.total.plaintext)
                for (port, count) in before { #expect(try #require(after[port]) >= count, "\(port)") }
                #expect(after.count == before.count)
                before = after
            }
        }
        let total = surveys.total.plaintext.total
        #expect((total.allowed, total.probes, total.refused) == (82, 82, 82))
    }
}
