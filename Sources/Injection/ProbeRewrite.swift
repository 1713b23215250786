import Manifest

/// Probes go to the sidecar's monitor port: it asks the application over loopback, where nothing is captured. Kubelet's own
/// probes would meet mutual TLS.
enum ProbeRewrite {
    struct Malformed: Error { let reason: String }

    /// The kinds of probes, and the last part of their path.
    private static let kinds = [
        ("livenessProbe", "livez"), ("readinessProbe", "readyz"), ("startupProbe", "startupz"),
    ]
    private static let actions = ["httpGet", "tcpSocket", "grpc"]

    private static func path(_ container: String, _ kind: String) -> String { "/app-health/\(container)/\(kind)" }

    /// Rewrites the probes of one container; answers what APP_PROBES says of them.
    static func rewrite(
        _ container: inout ManifestObject, monitorPort: Int
    ) throws(Malformed) -> [ManifestObject.Member] {
        var originals: [ManifestObject.Member] = []
        for (field, kind) in kinds {
            guard var probe = container[field]?.object, let original = try original(probe, field, container) else {
                continue
            }
            let path = path(container.name, kind)
            originals.append(.init(key: path, value: .object(original)))
            for action in actions { probe[action] = nil }
            probe["httpGet"] = ["path": .string(path), "port": .number("\(monitorPort)")]
            container[field] = .object(probe)
        }
        return originals
    }

    /// What the sidecar needs to know of a probe; nil where it stays as it is: exec, and those that go to another host.
    private static func original(
        _ probe: ManifestObject, _ field: String, _ container: ManifestObject
    ) throws(Malformed) -> ManifestObject? {
        guard let action = actions.first(where: { probe[$0]?.object != nil }),
            var target = probe[action]?.object, (target["host"]?.string ?? "").isEmpty
        else { return nil }
        target["host"] = nil
        let place = "container \"\(container.name)\": its \(field)"
        target["port"] = .number("\(try port(target["port"], place, container))")
        for member in target.members where member.value.isNull { target[member.key] = nil }
        var original = ManifestObject([(action, .object(target))])
        original["timeoutSeconds"] = probe["timeoutSeconds"]
        return original
    }

    /// A number, or the name of one of the container's ports.
    private static func port(
        _ value: ManifestValue?, _ place: String, _ container: ManifestObject
    ) throws(Malformed) -> Int {
        let number: Int?
        switch value {
        case .number(let text): number = Int(text)
        case .string(let name): number = ContainerPorts.named(name, in: container) ?? Int(name)
        case .null, .none: throw Malformed(reason: "\(place) has no port")
        case .bool, .array, .object: throw Malformed(reason: "\(place) has a port that is neither number nor name")
        }
        guard let number else {
            throw Malformed(
                reason: "\(place) names the port \"\(value?.string ?? "")\", which its ports do not list: add it there")
        }
        guard (1...65_535).contains(number) else {
            throw Malformed(reason: "\(place) has the port \(number), which must be from 1 to 65535")
        }
        return number
    }

    /// Puts the original probes of a container back. `originals` is what APP_PROBES said.
    static func restore(_ container: inout ManifestObject, from originals: ManifestObject) {
        for (field, kind) in kinds {
            guard var probe = container[field]?.object, let path = probe["httpGet"]?["path"]?.string,
                path == ProbeRewrite.path(container.name, kind), let original = originals[path]?.object
            else { continue }
            probe["httpGet"] = nil
            for action in actions { probe[action] = original[action] ?? probe[action] }
            // The API server puts its default into what had none.
            if original["timeoutSeconds"] == nil, probe["timeoutSeconds"]?.integer == 1 {
                probe["timeoutSeconds"] = nil
            }
            container[field] = .object(probe)
        }
    }

    /// Probes that go to the sidecar although nothing says any more where they went before: a sentence each.
    static func lost(in pod: Pod) -> [String] {
        pod.runningContainers.flatMap { container in
            kinds.compactMap { field, kind in
                guard container[field]?["httpGet"]?["path"]?.string == path(container.name, kind) else { return nil }
                return "container \"\(container.name)\": its \(field) goes to a sidecar that is no longer there to say "
                    + "where it went before: write the probe as the application needs it"
            }
        }
    }
}
