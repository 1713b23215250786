import Testing

@testable import Proxy

/// Runs are scanned eight bytes at a time; here byte by byte.
@Suite struct ByteScanTests {
    enum Scan: CaseIterable {
        case token, host, target, fieldValue

        var filler: UInt8 {
            switch self {
            case .token: UInt8(ascii: "a")
            case .host: UInt8(ascii: "9")
            case .target: UInt8(ascii: "/")
            case .fieldValue: UInt8(ascii: " ")
            }
        }

        func end(_ bytes: [UInt8], from start: Int = 0) -> Int {
            switch self {
            case .token: bytes.span.endOfToken(from: start)
            case .host: bytes.span.endOfHost(from: start)
            case .target: bytes.span.endOfTarget(from: start)
            case .fieldValue: bytes.span.endOfFieldValue(from: start)
            }
        }

        func takes(_ byte: UInt8) -> Bool {
            switch self {
            case .token: ByteClass.isToken(byte)
            case .host: ByteClass.isHost(byte)
            case .target: ByteClass.isTarget(byte)
            case .fieldValue: ByteClass.isFieldValue(byte)
            }
        }
    }

    @Test(arguments: Scan.allCases)
    func everyByteAtEveryPlaceEndsARunExactlyIfItsClassSaysSo(scan: Scan) {
        var wrong: [String] = []
        for count in 1...20 {
            for place in 0..<count {
                for byte in UInt8.min ... .max {
                    var bytes = [UInt8](repeating: scan.filler, count: count)
                    bytes[place] = byte
                    let end = scan.takes(byte) ? count : place
                    if scan.end(bytes) != end { wrong.append("\(byte) at \(place) of \(count)") }
                }
            }
        }
        #expect(wrong == [])
    }

    /// In a word the marks above the first may be wrong, whatever stands there.
    @Test(arguments: Scan.allCases)
    func theFirstOfTwoStrangersEndsTheRun(scan: Scan) {
        let strangers = (UInt8.min ... .max).filter { !scan.takes($0) }
        var wrong: [String] = []
        for first in strangers {
            for second in UInt8.min ... .max {
                var bytes = [UInt8](repeating: scan.filler, count: 16)
                bytes[3] = first
                bytes[4] = second
                bytes[12] = first
                if scan.end(bytes) != 3 || scan.end(bytes, from: 5) != 12 { wrong.append("\(first), \(second)") }
            }
        }
        #expect(wrong == [])
    }

    @Test func aRunBeginsWhereItIsSaid() {
        let bytes = Array("\r\nname: value\twith a tab \u{e9}\r\n".utf8)
        #expect(Scan.token.end(bytes, from: 2) == 6)
        #expect(Scan.fieldValue.end(bytes, from: 8) == bytes.count - 2)
        #expect(Scan.token.end(bytes, from: bytes.count) == bytes.count)
    }

    private static let names: [StaticString] = [
        "h", "te", "host", "expect", "upgrade", "x-client-", "content-length", "proxy-authentication-info",
    ]

    @Test(arguments: names.indices)
    func namesAreComparedWithoutRegardToCaseAtEveryPlace(index: Int) {
        let text = ByteScanTests.names[index]
        let lower = Array("\(text)".utf8)
        func equals(_ bytes: [UInt8]) -> Bool { bytes.span.equalsIgnoringCase(text) }
        func starts(_ bytes: [UInt8]) -> Bool { bytes.span.startsIgnoringCase(with: text) }

        #expect(equals(lower))
        #expect(equals(Array("\(text)".uppercased().utf8)))
        #expect(starts(lower + [0x2d]))
        #expect(!equals(lower + [0x2d]))
        #expect(!starts(lower.dropLast()))
        for place in lower.indices {
            var other = lower
            other[place] = UInt8(ascii: "q")
            #expect(!starts(other) && !equals(other), "at \(place)")
        }
    }
}
