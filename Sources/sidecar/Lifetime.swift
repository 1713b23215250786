import ArgumentParser

/// A length of time on the command line: `90d`, `12h`, `30m`, `600s`.
struct Lifetime: ExpressibleByArgument {
    let seconds: Int64

    /// Below, a certificate would be renewed all the time; above, it outlives whoever made it.
    private static let range: ClosedRange<Int64> = 10...100 * 365 * 86_400

    init(seconds: Int64) { self.seconds = seconds }

    init?(argument: String) {
        let units: [Character: Int64] = ["s": 1, "m": 60, "h": 3_600, "d": 86_400]
        guard let last = argument.last, let unit = units[last], let number = Int64(argument.dropLast()),
            number <= Lifetime.range.upperBound / unit, Lifetime.range.contains(number * unit)
        else { return nil }
        seconds = number * unit
    }

    var defaultValueDescription: String { seconds % 86_400 == 0 ? "\(seconds / 86_400)d" : "\(seconds)s" }
}
