import CLinux

/// Signals as events of a reactor. Create it before any thread starts: threads inherit the blocked set.
package final class SignalReader: EventHandler {
    private let descriptor: Descriptor
    private let received: (CInt) -> Void

    package init(_ signals: [CInt], in reactor: Reactor, received: @escaping (CInt) -> Void) throws(SystemError) {
        let raw = unsafe linux_signalfd(signals, CInt(signals.count))
        descriptor = Descriptor(owning: try SystemError.check("signalfd", raw))
        self.received = received
        super.init()
        try reactor.register(self, descriptor.raw, .readable)
    }

    override func ready(_ readiness: Readiness) {
        while case let signal = linux_signalfd_next(descriptor.raw), signal > 0 { received(signal) }
    }
}
