/// Which items of two lists belong together: Kubernetes' lists of containers, volumes and variables have items with names,
/// and an item keeps its identity when another is put before it.
package struct Alignment: Equatable {
    package enum Step: Equatable {
        case kept(old: Int, new: Int)
        case removed(old: Int)
        case added(new: Int)
    }

    /// In the order of both lists; what is removed comes before what is added in its place.
    package let steps: [Step]

    package init(_ old: [ManifestValue], _ new: [ManifestValue]) {
        let same = zip(old, new).prefix { Alignment.identity($0) == Alignment.identity($1) }.count
        var steps = (0..<same).map { Step.kept(old: $0, new: $0) }
        var left = Side(old[same...])
        var right = Side(new[same...])
        while left.next != nil || right.next != nil {
            if let item = left.next, item == right.next {
                steps.append(.kept(old: left.position, new: right.position))
                left.advance()
                right.advance()
            } else if let item = left.next, !right.holds(item) {
                steps.append(.removed(old: left.position))
                left.advance()
            } else if let item = right.next, !left.holds(item) {
                steps.append(.added(new: right.position))
                right.advance()
            } else {  // both are there, in another order
                steps.append(.removed(old: left.position))
                left.advance()
            }
        }
        self.steps = steps
    }

    private enum Identity: Equatable {
        case name(String)
        case value(ManifestValue)
    }

    private static func identity(_ item: ManifestValue) -> Identity {
        item["name"]?.string.map { .name($0) } ?? .value(item)
    }

    /// What is left of a list, counted by identity: a stranger's list may have a hundred thousand items.
    private struct Side {
        enum Key: Hashable { case name(String), json(String) }

        private let keys: [Key]
        private let start: Int
        private var index = 0
        private var counts: [Key: Int] = [:]

        init(_ items: ArraySlice<ManifestValue>) {
            start = items.startIndex
            keys = items.map { item in item["name"]?.string.map { .name($0) } ?? .json(item.json) }
            for key in keys { counts[key, default: 0] += 1 }
        }

        var position: Int { start + index }
        var next: Key? { index < keys.count ? keys[index] : nil }
        func holds(_ key: Key) -> Bool { counts[key, default: 0] > 0 }

        mutating func advance() {
            counts[keys[index], default: 0] -= 1
            index += 1
        }
    }
}
