import Addressing

/// Where a request to the forward proxy is to go: host and port of its target.
struct ForwardDestination: Hashable {
    /// A name in lower case, or an address without brackets.
    let host: String
    let port: UInt16

    /// Reads an authority that the parser has found well-formed.
    ///
    /// - Parameter defaultPort: nil when a port must be given, as for CONNECT (RFC 9110 section 9.3.6).
    init?(_ authority: String, defaultPort: UInt16?) {
        var name = Substring(authority)
        var digits = Substring()
        if let colon = name.lastIndex(of: ":"), !name[colon...].contains("]") {
            digits = name[name.index(after: colon)...]
            name = name[..<colon]
        }
        guard let port = digits.isEmpty ? defaultPort : PortSet.port(digits) else { return nil }
        if name.hasPrefix("["), name.hasSuffix("]") {
            name = name.dropFirst().dropLast()
            guard name.contains(":"), IPAddress(name) != nil else { return nil }
        } else if HostName.checkable(String(name)) == nil {
            return nil
        }
        host = name.lowercased()
        self.port = port
    }
}
