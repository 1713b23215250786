import Glibc

/// Owns one file descriptor; closes it when its life ends.
package struct Descriptor: ~Copyable, Sendable {
    package let raw: CInt

    init(owning raw: CInt) {
        precondition(raw >= 0, "a descriptor is never negative")
        self.raw = raw
    }

    deinit { close(raw) }
}
