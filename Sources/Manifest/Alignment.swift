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
        let oldNames = old.map(Alignment.identity)
        let newNames = new.map(Alignment.identity)
        var steps: [Step] = []
        var (left, right) = (0, 0)
        while left < old.count || right < new.count {
            if left < old.count, right < new.count, oldNames[left] == newNames[right] {
                steps.append(.kept(old: left, new: right))
                left += 1
                right += 1
            } else if left < old.count, !newNames[right...].contains(oldNames[left]) {
                steps.append(.removed(old: left))
                left += 1
            } else if right < new.count, !oldNames[left...].contains(newNames[right]) {
                steps.append(.added(new: right))
                right += 1
            } else if left < old.count {  // both are there, in another order
                steps.append(.removed(old: left))
                left += 1
            } else {
                steps.append(.added(new: right))
                right += 1
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
}
