/// A worker's finished requests and connections, while somebody listens to `/flows`.
///
/// The control thread says how many it has taken; beyond a window of those on their way, flows are dropped rather
/// than kept. How many is told as soon as there is room again, so that who listens learns of it too.
struct FlowTap {
    /// Flows on their way to the control thread at most.
    static let window = 2_048

    private(set) var isOpen = false
    private var underWay = 0
    private var batch: [Flow] = []
    private var missed = 0

    mutating func open() { isOpen = true }

    mutating func close() {
        isOpen = false
        batch = []
        underWay = 0
        missed = 0
    }

    /// There is room for one more; ask before making it.
    var hasRoom: Bool { underWay < FlowTap.window }

    mutating func append(_ flow: Flow) {
        underWay += 1
        batch.append(flow)
    }

    /// There was no room for one.
    mutating func miss() { missed += 1 }

    /// What has come together in this turn, and how many were dropped before it.
    mutating func takeBatch() -> (flows: [Flow], missed: Int)? {
        // Without room the batch is from before the drops, and there will be word that room is made.
        var told = 0
        if hasRoom { swap(&told, &missed) }
        guard !batch.isEmpty || told > 0 else { return nil }
        var taken: [Flow] = []
        swap(&taken, &batch)
        return (taken, told)
    }

    mutating func taken(_ count: Int) { underWay = max(0, underWay - count) }
}
