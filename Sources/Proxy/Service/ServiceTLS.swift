/// What the handshakes of a service are done with; nobody gets one before there is a context.
///
/// A new context serves the connections that come from now on; those that stand go on with theirs.
package final class ServiceTLS {
    package var context: TLSContext?

    package init() {}
}
