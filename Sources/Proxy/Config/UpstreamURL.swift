import Addressing

/// Where explicit inbound requests go: `http://host:port/base`.
package struct UpstreamURL: Sendable, Equatable {
    package enum Scheme: String, Sendable {
        case http, https
        /// HTTP/2 in the clear, by prior knowledge.
        case h2c

        var usualPort: UInt16 { self == .https ? 443 : 80 }
    }

    package let scheme: Scheme
    /// A name, or an address without brackets.
    package let host: String
    package let port: UInt16
    /// Put before each request's path; empty, or with a slash at its beginning and none at its end.
    package let basePath: String

    /// `host` or `host:port`, as the Host field has it.
    package var authority: String {
        let name = host.contains(":") ? "[\(host)]" : host
        let usual = scheme.usualPort
        return port == usual ? name : "\(name):\(port)"
    }

    /// It leads back to this host, whatever other addresses the host has.
    var isOnLoopback: Bool {
        if let address = IPAddress(host) { return address.isLoopback || address == .anyV4 || address == .anyV6 }
        let name = host.lowercased()
        return name == "localhost" || name == "localhost."
    }

    /// Why a text is no upstream URL.
    package struct Malformed: Error, Equatable { package let reason: String }

    package init(_ text: String) throws(Malformed) {
        guard let separator = text.firstRange(of: "://") else {
            throw Malformed(reason: "it has no scheme: write http://host:port")
        }
        guard let scheme = Scheme(rawValue: text[..<separator.lowerBound].lowercased()) else {
            throw Malformed(reason: "the scheme must be http, https or h2c")
        }
        let rest = text[separator.upperBound...]
        let slash = rest.firstIndex(of: "/") ?? rest.endIndex
        var path = String(rest[slash...])
        while path.hasSuffix("/") { path.removeLast() }
        guard !rest.contains(where: { "?#@ \\".contains($0) || !$0.isASCII || $0.isNewline }) else {
            throw Malformed(reason: "it must be host, port and path only")
        }
        let (host, port) = try UpstreamURL.split(rest[..<slash])
        self.scheme = scheme
        self.host = host
        self.port = port ?? scheme.usualPort
        basePath = path
    }

    private static func split(_ authority: Substring) throws(Malformed) -> (String, UInt16?) {
        var host = authority
        var portText: Substring?
        if authority.hasPrefix("[") {
            guard let end = authority.firstIndex(of: "]") else { throw Malformed(reason: "a bracket is not closed") }
            host = authority[authority.index(after: authority.startIndex)..<end]
            guard IPAddress(host)?.family == .v6 else { throw Malformed(reason: "[\(host)] is no IPv6 address") }
            let after = authority[authority.index(after: end)...]
            guard after.isEmpty || after.hasPrefix(":") else { throw Malformed(reason: "the port is malformed") }
            portText = after.isEmpty ? nil : after.dropFirst()
        } else if let colon = authority.firstIndex(of: ":") {
            host = authority[..<colon]
            portText = authority[authority.index(after: colon)...]
        }
        guard !host.isEmpty else { throw Malformed(reason: "the host is missing") }
        guard let portText else { return (String(host), nil) }
        guard let port = PortSet.port(portText) else {
            throw Malformed(reason: "the port must be a number from 1 to 65535")
        }
        return (String(host), port)
    }
}
