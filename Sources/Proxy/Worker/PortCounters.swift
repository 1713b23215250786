/// Counts by port of the application. A peer chooses which port it knocks at, so only ports that the application has
/// answered on have a row of their own, and no more than fit.
struct PortCounters: Sendable {
    struct Row: Sendable {
        var port: UInt16 = 0
        var allowed: UInt64 = 0
        var refused: UInt64 = 0
    }

    static let maximumPorts = 32

    private(set) var rows: [32 of Row] = .init(repeating: Row())
    private(set) var portCount = 0
    /// All ports without a row.
    private(set) var others = Row()

    /// Over all ports.
    var total: Row {
        var sum = others
        for index in 0..<portCount {
            sum.allowed += rows[index].allowed
            sum.refused += rows[index].refused
        }
        return sum
    }

    /// The application has answered on this port.
    mutating func learn(_ port: UInt16) {
        guard portCount < PortCounters.maximumPorts, index(of: port) == nil else { return }
        rows[portCount].port = port
        portCount += 1
    }

    mutating func allowed(_ port: UInt16) {
        if let index = index(of: port) { rows[index].allowed += 1 } else { others.allowed += 1 }
    }

    mutating func refused(_ port: UInt16) {
        if let index = index(of: port) { rows[index].refused += 1 } else { others.refused += 1 }
    }

    mutating func add(_ other: PortCounters) {
        others.allowed += other.others.allowed
        others.refused += other.others.refused
        for row in 0..<other.portCount { add(other.rows[row]) }
    }

    private mutating func add(_ row: Row) {
        learn(row.port)
        guard let index = index(of: row.port) else {
            others.allowed += row.allowed
            others.refused += row.refused
            return
        }
        rows[index].allowed += row.allowed
        rows[index].refused += row.refused
    }

    private func index(of port: UInt16) -> Int? {
        for index in 0..<portCount where rows[index].port == port { return index }
        return nil
    }
}
