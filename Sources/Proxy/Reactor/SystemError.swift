import Glibc

/// What the kernel answered when a call failed.
package struct SystemError: Error, Equatable, CustomStringConvertible {
    /// The call as a reader would look it up, `bind` or `epoll_ctl`.
    package let call: StaticString
    package let number: CInt

    package static func == (left: SystemError, right: SystemError) -> Bool { left.number == right.number }

    package var description: String { "\(call): \(SystemError.text(number))" }

    /// The kernel's own words for an errno.
    package static func text(_ number: CInt) -> String {
        guard let words = unsafe strerror(number) else { return "error \(number)" }
        return unsafe String(cString: words)
    }

    /// Turns the negated errno of a shim into an error.
    @discardableResult
    static func check(_ call: StaticString, _ result: CInt) throws(SystemError) -> CInt {
        guard result >= 0 else { throw SystemError(call: call, number: -result) }
        return result
    }
}
