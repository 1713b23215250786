/// The context that new handshakes of one side use. It is exchanged when the certificates change.
final class CurrentContext {
    var context: TLSContext

    init(_ context: TLSContext) { self.context = context }
}
