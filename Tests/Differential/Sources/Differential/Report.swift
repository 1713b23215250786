/// Counts, and tells of every failure in its smallest form.
struct Report {
    private(set) var passed = 0
    private(set) var failed = 0
    private var agreed = 0
    private var met: [String: Int] = [:]

    private static let shownFailures = 20

    mutating func run(_ input: Case, name: String) throws {
        let comparison = try input.compare()
        agreed += comparison.agreed
        for difference in comparison.met { met[difference, default: 0] += 1 }
        guard let failure = comparison.failure else { return passed += 1 }
        failed += 1
        guard failed <= Self.shownFailures else { return }
        let smallest = try input.reduced()
        print("FAILED \(name): \(try smallest.compare().failure ?? failure)")
        print("      \(smallest.side), cut at \(smallest.cuts): \(literal(smallest.bytes))")
    }

    /// A rule that its own example does not need, is no rule.
    mutating func runExamples() throws {
        let examples =
            Stricter.rules.map { ($0.name, $0.example) } + Laxer.rules.map { ($0.name, $0.example) }
            + Otherwise.rules.map { ($0.name, $0.example) }
        for (name, example) in examples {
            let comparison = try example.compare()
            if comparison.passed, comparison.met == [name] {
                passed += 1
            } else {
                failed += 1
                print("FAILED example of \"\(name)\": \(comparison.failure ?? "met \(comparison.met)")")
            }
        }
    }

    func finish() {
        print("\(agreed) messages read alike; known differences met:")
        for (name, count) in met.sorted(by: { $0.key < $1.key }) { print("  \(count) × \(name)") }
        print("\(passed) passed, \(failed) failed")
    }
}

extension Case {
    private func failureTitle() throws -> Substring? { try compare().failure?.prefix { $0 != "\n" } }

    /// Takes pieces away for as long as it fails in the same way.
    func reduced() throws -> Case {
        let title = try failureTitle()
        var smallest = self
        var uncut = self
        uncut.cuts = []
        if try uncut.failureTitle() == title { smallest = uncut }
        var size = max(1, bytes.count / 2)
        while size > 0 {
            var start = 0
            while start < smallest.bytes.count {
                var smaller = smallest.bytes
                smaller.removeSubrange(start..<min(start + size, smaller.count))
                let candidate = Case(side: side, bytes: smaller, cuts: smallest.cuts.filter { $0 < smaller.count })
                if try candidate.failureTitle() == title { smallest = candidate } else { start += size }
            }
            size /= 2
        }
        return smallest
    }
}
