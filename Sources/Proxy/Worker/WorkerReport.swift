/// What a worker tells the control thread.
enum WorkerReport: Sendable {
    /// Answers `.count`.
    indirect case counted(Counters)
    /// Answers `.describe`: what is open, and how many more there are.
    case described([ConnectionDescription], omitted: Int)
    case flows([Flow])
    case handshakeFailed(HandshakeFailure)
    case cannotListen(String)
}
