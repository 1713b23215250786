/// A set of TCP ports, written `80,8000-8100`, or `*` for all of them; empty text is the empty set.
package struct PortSet: Hashable, Sendable, CustomStringConvertible {
    /// Sorted, merged, never overlapping or adjacent.
    package let ranges: [ClosedRange<UInt16>]

    package static let all = PortSet([1...UInt16.max])
    package static let none = PortSet([])

    package init(_ ranges: some Sequence<ClosedRange<UInt16>>) {
        var merged: [ClosedRange<UInt16>] = []
        for range in ranges.sorted(by: { $0.lowerBound < $1.lowerBound }) {
            if let last = merged.last, Int(range.lowerBound) <= Int(last.upperBound) + 1 {
                merged[merged.count - 1] = last.lowerBound...max(last.upperBound, range.upperBound)
            } else {
                merged.append(range)
            }
        }
        self.ranges = merged
    }

    /// Why a text is not a port list: the part that is wrong.
    package struct Malformed: Error, Equatable { package let part: String }

    package init(parsing text: some StringProtocol) throws(Malformed) {
        if text == "*" {
            self = .all
            return
        }
        var ranges: [ClosedRange<UInt16>] = []
        for part in text.split(separator: ",", omittingEmptySubsequences: !text.contains(",")) {
            let bounds = part.split(separator: "-", maxSplits: 1, omittingEmptySubsequences: false)
                .map { PortSet.port(String($0.trimmingSpaces)) }
            guard let low = bounds.first ?? nil, let high = bounds.last ?? nil, low <= high else {
                throw Malformed(part: String(part))
            }
            ranges.append(low...high)
        }
        self.init(ranges)
    }

    /// Reads one port, 1 to 65535, digits only.
    package static func port(_ text: some StringProtocol) -> UInt16? {
        guard (1...5).contains(text.utf8.count), text.utf8.allSatisfy({ (48...57).contains($0) }),
            let value = UInt16(text), value != 0
        else { return nil }
        return value
    }

    package func contains(_ port: UInt16) -> Bool { ranges.contains { $0.contains(port) } }

    package var isAll: Bool { self == .all }
    package var isEmpty: Bool { ranges.isEmpty }

    package func union(_ other: PortSet) -> PortSet { PortSet(ranges + other.ranges) }

    package var description: String {
        if isAll { return "*" }
        return ranges.map { $0.count == 1 ? "\($0.lowerBound)" : "\($0.lowerBound)-\($0.upperBound)" }
            .joined(separator: ",")
    }
}

extension StringProtocol {
    /// The text without leading and trailing spaces and tabs.
    package var trimmingSpaces: SubSequence {
        guard let first = firstIndex(where: { $0 != " " && $0 != "\t" }),
            let last = lastIndex(where: { $0 != " " && $0 != "\t" })
        else { return self[startIndex..<startIndex] }
        return self[first...last]
    }
}
