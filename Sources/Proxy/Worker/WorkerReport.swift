/// What a worker tells the control thread.
enum WorkerReport: Sendable {
    /// Answers `.count`.
    indirect case counted(Counters)
    /// Answers `.describe`: what is open, and how many more there are.
    case described([ConnectionDescription], omitted: Int)
    /// What has finished, and how much more had to be dropped before it.
    case flows([Flow], missed: Int)
    case handshakeFailed(HandshakeFailure)
    case cannotListen(String)
}
