/// Which identity headers an inbound request gets; INJECT_CLIENT_HEADERS.
package struct IdentityHeaderSelection: OptionSet, Sendable {
    package let rawValue: UInt8

    package init(rawValue: UInt8) { self.rawValue = rawValue }

    package static let tlsInfo = IdentityHeaderSelection(rawValue: 1)
    package static let cn = IdentityHeaderSelection(rawValue: 2)
    package static let subject = IdentityHeaderSelection(rawValue: 4)
    package static let xfcc = IdentityHeaderSelection(rawValue: 8)
    package static let clientCert = IdentityHeaderSelection(rawValue: 16)
}
