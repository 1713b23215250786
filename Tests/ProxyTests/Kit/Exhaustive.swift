/// Replays every sequence of choices up to a bound, one sequence per round.
struct Exhaustive {
    private var taken: [(choice: Int, bound: Int)] = []
    private var position = 0
    private var hasStarted = false

    mutating func nextRound() -> Bool {
        position = 0
        guard hasStarted else {
            hasStarted = true
            return true
        }
        while let last = taken.popLast() {
            guard last.choice + 1 < last.bound else { continue }
            taken.append((last.choice + 1, last.bound))
            return true
        }
        return false
    }

    mutating func choose(below bound: Int) -> Int {
        defer { position += 1 }
        if position == taken.count { taken.append((0, bound)) }
        return taken[position].choice
    }
}
