/// A worker's finished requests and connections, while somebody listens to `/flows`.
///
/// The control thread says how many it has taken; beyond a window of those on their way, flows are dropped rather
/// than kept.
struct FlowTap {
    /// Flows on their way to the control thread at most.
    static let window = 2_048

    private(set) var isOpen = false
    private var underWay = 0
    private var batch: [Flow] = []

    mutating func open() { isOpen = true }

    mutating func close() {
        isOpen = false
        batch = []
        underWay = 0
    }

    /// There is room for one more; ask before making it.
    var hasRoom: Bool { underWay < FlowTap.window }

    mutating func append(_ flow: Flow) {
        underWay += 1
        batch.append(flow)
    }

    /// What has come together in this turn.
    mutating func takeBatch() -> [Flow] {
        guard !batch.isEmpty else { return [] }
        var taken: [Flow] = []
        swap(&taken, &batch)
        return taken
    }

    mutating func taken(_ count: Int) { underWay = max(0, underWay - count) }
}
