/// Counts by port of the application. A peer chooses which port it knocks at, so only ports that the application has
/// answered on have a row of their own, and no more than fit: first come, first served, and for good.
struct PortCounters: Sendable {
    struct Row: Sendable {
        var port: UInt16 = 0
        /// Let through to the application.
        var allowed: UInt64 = 0
        /// Answered in the application's place, as one of its probes.
        var probes: UInt64 = 0
        var refused: UInt64 = 0

        fileprivate mutating func add(_ other: Row) {
            allowed += other.allowed
            probes += other.probes
            refused += other.refused
        }
    }

    static let maximumPorts = 32

    private(set) var rows: [32 of Row] = .init(repeating: Row())
    private(set) var portCount = 0
    /// All ports without a row.
    private(set) var others = Row()

    /// Over all ports.
    var total: Row {
        var sum = others
        for index in 0..<portCount { sum.add(rows[index]) }
        return sum
    }

    /// The application has answered on this port.
    mutating func learn(_ port: UInt16) {
        guard portCount < PortCounters.maximumPorts, index(of: port) == nil else { return }
        rows[portCount].port = port
        portCount += 1
    }

    /// Takes over another's ports, not its counts: a sum that has them keeps the order in which they came, whichever part
    /// is added first.
    mutating func learn(portsOf other: PortCounters) {
        for index in 0..<other.portCount { learn(other.rows[index].port) }
    }

    mutating func allowed(_ port: UInt16) {
        if let index = index(of: port) { rows[index].allowed += 1 } else { others.allowed += 1 }
    }

    mutating func probed(_ port: UInt16) {
        if let index = index(of: port) { rows[index].probes += 1 } else { others.probes += 1 }
    }

    mutating func refused(_ port: UInt16) {
        if let index = index(of: port) { rows[index].refused += 1 } else { others.refused += 1 }
    }

    mutating func add(_ other: PortCounters) {
        others.add(other.others)
        for row in 0..<other.portCount { add(other.rows[row]) }
    }

    private mutating func add(_ row: Row) {
        learn(row.port)
        if let index = index(of: row.port) { rows[index].add(row) } else { others.add(row) }
    }

    private func index(of port: UInt16) -> Int? {
        for index in 0..<portCount where rows[index].port == port { return index }
        return nil
    }
}
