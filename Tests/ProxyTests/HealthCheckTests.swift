import Testing

@testable import Proxy

@Suite struct HealthCheckTests {
    @Test func requests() {
        #expect(HealthCheck.request("") == [0, 0, 0, 0, 0])
        #expect(HealthCheck.request("db") == [0, 0, 0, 0, 4, 0x0a, 2, 0x64, 0x62])
        let long = HealthCheck.request(String(repeating: "x", count: 300))
        #expect(Array(long.prefix(8)) == [0, 0, 0, 1, 47, 0x0a, 0xac, 0x02])
        #expect(long.count == 308)
    }

    @Test(
        arguments: [
            ([0, 0, 0, 0, 0], HealthCheck.Status.unknown), ([0, 0, 0, 0, 2, 8, 0], .unknown),
            ([0, 0, 0, 0, 2, 8, 1], .serving),
            ([0, 0, 0, 0, 2, 8, 2], .notServing), ([0, 0, 0, 0, 2, 8, 3], .serviceUnknown),
            ([0, 0, 0, 0, 3, 8, 0x80, 1], .other(128)), ([0, 0, 0, 0, 4, 8, 2, 8, 1], .serving),
            // Fields of other numbers and all types are passed over.
            ([0, 0, 0, 0, 7, 0x12, 1, 0, 8, 1, 0x18, 5], .serving),
            ([0, 0, 0, 0, 7, 0x15, 0, 0, 0, 0, 8, 1], .serving),
            ([0, 0, 0, 0, 11, 0x11, 0, 0, 0, 0, 0, 0, 0, 0, 8, 1], .serving),
        ] as [([UInt8], HealthCheck.Status)])
    func answers(_ bytes: [UInt8], _ expected: HealthCheck.Status) {
        #expect(HealthCheck.status(in: bytes) == expected)
    }

    @Test(
        arguments: [
            [], [0, 0, 0, 0], [1, 0, 0, 0, 2, 8, 1], [0, 0, 0, 0, 3, 8, 1], [0, 0, 0, 0, 1, 8, 1], [0, 0, 0, 0, 1, 8],
            [0, 0, 0, 0, 2, 8, 0x80], [0, 0, 0, 0, 2, 0x0b, 1], [0, 0, 0, 0, 2, 0x12, 5], [0, 0, 0, 0, 2, 0x11, 1],
            [0xff, 0xff, 0xff, 0xff, 0xff],
            [0, 0, 0, 0, 12, 0x12, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1],
            [0, 0, 0, 0, 12, 8, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1],
        ] as [[UInt8]])
    func whatIsNoAnswer(_ bytes: [UInt8]) { #expect(HealthCheck.status(in: bytes) == nil) }

    @Test func servingReadsAsServing() { #expect(HealthCheck.status(in: HealthCheck.serving) == .serving) }
}
