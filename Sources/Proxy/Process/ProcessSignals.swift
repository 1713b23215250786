import CLinux
import Glibc

/// What a long-running command does about signals before anything else.
///
/// Those it will hear of wait until its reader is there: the first process of a container has no default for them, and one
/// that came while certificates were loaded would be lost. None of the others may end it.
package struct ProcessSignals: Sendable {
    package let heard: [CInt]
    private let ignored: [CInt]

    /// SIGTERM and SIGINT drain; SIGHUP and SIGUSR1 look at the certificates, as they reload elsewhere.
    package static let proxy = ProcessSignals(
        heard: [SIGTERM, SIGINT, SIGHUP, SIGUSR1], ignored: [SIGPIPE, SIGUSR2])
    /// Reads its certificate by itself, whichever way it got it.
    package static let webhook = ProcessSignals(
        heard: [SIGTERM, SIGINT], ignored: [SIGPIPE, SIGHUP, SIGUSR1, SIGUSR2])

    /// Call it before any thread starts: threads inherit what is blocked.
    package func prepare() {
        for signal in ignored { linux_ignore_signal(signal) }
        _ = unsafe linux_block_signals(heard, CInt(heard.count))  // fails only for numbers that are no signals
    }
}

/// The descriptors that every program expects to be open.
package enum StandardDescriptors {
    /// Call it first: what is opened before takes the numbers of those that are closed.
    package static func open() { _ = linux_open_standard_descriptors() }
}
