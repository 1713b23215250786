import Addressing

/// What the name of a server is checked against.
enum ServerName {
    case dns(String)
    case address(IPAddress)
}

/// How a server proves who it is. Its chain is always checked.
enum ServerVerification {
    /// A subject alternative name must be this one (RFC 9525; the common name is never looked at).
    case full(ServerName)
    /// One URI or DNS name must match one of the globs.
    case sans([String], sni: String?)
    case chainOnly(sni: String?)
}
