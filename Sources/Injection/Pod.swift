import Manifest

/// A pod, or the template of pods: its metadata and its spec.
struct Pod: Equatable {
    var metadata: ManifestObject
    var spec: ManifestObject

    /// Where the lists of containers are.
    enum ContainerList: String, CaseIterable { case initContainers, containers }

    struct Malformed: Error { let reason: String }

    /// Checks what injection relies on: the API server would refuse the rest with messages of its own.
    init(_ value: ManifestValue) throws(Malformed) {
        guard let spec = value["spec"]?.object else { throw Malformed(reason: "spec is missing or no mapping") }
        let metadata = value["metadata"] ?? .null
        guard metadata.isNull || metadata.object != nil else { throw Malformed(reason: "metadata is no mapping") }
        self.metadata = metadata.object ?? ManifestObject()
        self.spec = spec
        for name in ["annotations", "labels"] {
            guard let value = self.metadata[name], !value.isNull, value.object == nil else { continue }
            throw Malformed(reason: "metadata.\(name) is no mapping")
        }
        for name in ["initContainers", "containers", "volumes"] {
            guard let value = spec[name], !value.isNull else { continue }
            guard let items = value.array, items.allSatisfy({ $0["name"]?.string != nil }) else {
                throw Malformed(reason: "spec.\(name) is no list of mappings that have a name each")
            }
        }
        guard !containers.isEmpty else { throw Malformed(reason: "spec.containers is empty") }
    }

    /// Puts it back into the object that it came from.
    func merged(into value: ManifestValue) -> ManifestValue {
        guard case .object(var object) = value else { return value }
        if !metadata.isEmpty || object["metadata"] != nil { object["metadata"] = .object(metadata) }
        object["spec"] = .object(spec)
        return .object(object)
    }

    var annotations: ManifestObject {
        get { metadata["annotations"]?.object ?? ManifestObject() }
        set { metadata["annotations"] = newValue.isEmpty ? nil : .object(newValue) }
    }

    var labels: ManifestObject { metadata["labels"]?.object ?? ManifestObject() }

    var containers: [ManifestObject] {
        get { self[.containers] }
        set { self[.containers] = newValue }
    }

    var initContainers: [ManifestObject] {
        get { self[.initContainers] }
        set { self[.initContainers] = newValue }
    }

    subscript(list: ContainerList) -> [ManifestObject] {
        get { spec[list.rawValue]?.array?.compactMap(\.object) ?? [] }
        set { spec[list.rawValue] = newValue.isEmpty ? nil : .array(newValue.map { .object($0) }) }
    }

    var volumes: [ManifestObject] {
        get { spec["volumes"]?.array?.compactMap(\.object) ?? [] }
        set { spec["volumes"] = newValue.isEmpty ? nil : .array(newValue.map { .object($0) }) }
    }

    /// The containers that run beside one another: all but the init containers that end.
    var runningContainers: [ManifestObject] { initContainers.filter(\.restartsAlways) + containers }

    /// Whether its containers end by themselves and are not started again.
    var runsToCompletion: Bool {
        switch spec["restartPolicy"]?.string {
        case "Never", "OnFailure": true
        case _: false
        }
    }
}

extension ManifestObject {
    var name: String { self["name"]?.string ?? "" }

    /// Of an init container: a native sidecar.
    var restartsAlways: Bool { self["restartPolicy"]?.string == "Always" }
}
