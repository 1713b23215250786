import Manifest

/// The TCP ports that a container says it listens on.
enum ContainerPorts {
    /// As `ports` lists them.
    static func listed(_ container: ManifestObject) -> [Int] {
        (container["ports"]?.array ?? []).filter { isTCP($0) }.compactMap { $0["containerPort"]?.integer }
    }

    /// Those, and what its probes ask.
    static func used(_ container: ManifestObject) -> [Int] {
        var ports = listed(container)
        for field in ["livenessProbe", "readinessProbe", "startupProbe"] {
            for action in ["httpGet", "tcpSocket", "grpc"] {
                guard let target = container[field]?[action], (target["host"]?.string ?? "").isEmpty else { continue }
                if let port = target["port"]?.integer { ports.append(port) }
            }
        }
        return ports
    }

    static func named(_ name: String, in container: ManifestObject) -> Int? {
        (container["ports"]?.array ?? []).first { $0["name"]?.string == name }?["containerPort"]?.integer
    }

    private static func isTCP(_ port: ManifestValue) -> Bool { (port["protocol"]?.string ?? "TCP") == "TCP" }
}
