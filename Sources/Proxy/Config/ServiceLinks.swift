/// What Kubernetes puts into every container's environment about the Services of its namespace. A Service named `monitor`
/// brings `MONITOR_PORT=tcp://10.96.0.3:80`, which is no setting of the sidecar's.
package enum ServiceLinks {
    private static let schemes = ["tcp://", "udp://", "sctp://"]
    private static let suffix = "_PORT"

    /// An environment without the addresses of Services in the place of ports. Two marks tell them from a mistake in a
    /// manifest: the scheme, and `…_SERVICE_HOST` next to it.
    package static func removed(from environment: [String: String]) -> [String: String] {
        environment.filter { name, value in
            guard name.hasSuffix(suffix), schemes.contains(where: { value.hasPrefix($0) }) else { return true }
            return environment[name.dropLast(suffix.count) + "_SERVICE_HOST"] == nil
        }
    }
}
