import Glibc

/// Why the capture rules could not be read or written.
package struct NetSetupError: Error, Equatable, CustomStringConvertible {
    package let sentence: String
    /// The capability is missing, rather than anything else.
    package let isPermission: Bool

    package var description: String { sentence }

    /// - Parameter number: an errno, positive or negated.
    static func system(_ attempt: String, _ number: CInt) -> NetSetupError {
        let number = abs(number)
        if number == EPERM || number == EACCES {
            return NetSetupError(
                sentence: "cannot \(attempt): the capability NET_ADMIN is missing "
                    + "(securityContext.capabilities.add of the init container)", isPermission: true)
        }
        let words = unsafe strerror(number).map { unsafe String(cString: $0) } ?? "error \(number)"
        let hint =
            number == ENOENT || number == EOPNOTSUPP || number == EAFNOSUPPORT
            ? "; the kernel must have nf_tables with tproxy, socket and fib expressions" : ""
        return NetSetupError(sentence: "cannot \(attempt): \(words)\(hint)", isPermission: false)
    }
}
