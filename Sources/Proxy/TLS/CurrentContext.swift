/// The context that new handshakes of one side use. It is exchanged when the certificates change.
package final class CurrentContext {
    package var context: TLSContext

    package init(_ context: TLSContext) { self.context = context }
}
