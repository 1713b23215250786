import Addressing

/// Whether a request may be the work of a page in somebody's browser.
///
/// Through `kubectl port-forward` the monitor port stands on a workstation's loopback, where any page can send a POST, and
/// a page whose name is made to resolve to 127.0.0.1 (DNS rebinding) anything else. The first shows by the fields that
/// browsers add, the second by the host that it believes to ask.
extension MonitorRequest {
    var mayBeOfAPage: Bool {
        if origin != nil { return true }
        if let fetchSite, fetchSite != "none", fetchSite != "same-origin" { return true }
        return host.map { !MonitorRequest.isLoopback($0) } ?? false
    }

    /// - Parameter host: with or without a port.
    static func isLoopback(_ host: String) -> Bool {
        var name = host[...]
        if name.hasPrefix("[") {
            guard let end = name.firstIndex(of: "]") else { return false }
            name = name[name.index(after: name.startIndex)..<end]
        } else if let colon = name.firstIndex(of: ":") {
            name = name[..<colon]
        }
        return name.lowercased() == "localhost" || IPAddress(String(name))?.isLoopback ?? false
    }
}
