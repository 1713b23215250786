/// One direction of a relay, as bookkeeping only: who has said goodbye, and whether the source must wait.
///
/// A pipe never touches a connection. It is told what happened and answers what to do, so every ordering of reads,
/// refusals and half-closes can be tested without a network or a clock.
struct Pipe: Equatable {
    enum Action: Equatable {
        case nothing
        case pauseSource, resumeSource
        /// The source has ended: tell the target once it has everything.
        case shutTarget
    }

    /// Bytes waiting at the target from which on the source is no longer read.
    let highWater: Int
    private(set) var sourceEnded = false
    private(set) var isPaused = false
    private(set) var bytes: UInt64 = 0

    init(highWater: Int) { self.highWater = highWater }

    /// `count` bytes were handed to the target, where `waiting` bytes are now unsent.
    mutating func moved(_ count: Int, waiting: Int) -> Action {
        precondition(!sourceEnded, "bytes after the end")
        bytes += UInt64(count)
        guard waiting >= highWater, !isPaused else { return .nothing }
        isPaused = true
        return .pauseSource
    }

    mutating func targetDrained() -> Action {
        guard isPaused else { return .nothing }
        isPaused = false
        return sourceEnded ? .nothing : .resumeSource
    }

    mutating func sourceDidEnd() -> Action {
        guard !sourceEnded else { return .nothing }
        sourceEnded = true
        return .shutTarget
    }
}
