import Manifest

/// The Service by which peers reach a pod's mTLS port in the explicit mode.
enum SidecarService {
    static let suffix = "-mtls"

    struct Unsuitable: Error { let reason: String }

    static func make(
        for object: ManifestValue, _ kind: WorkloadKind, port: Int
    ) throws(Unsuitable) -> ManifestValue {
        guard let owner = object["metadata"]?["name"]?.string else {
            throw Unsuitable(reason: "a Service needs the name of what it serves, and this has none")
        }
        let name = owner + suffix
        guard KubernetesName.isServiceName(name) else {
            throw Unsuitable(
                reason: "\(name) is no name of a Service, which has up to \(KubernetesName.maximumLabel) small "
                    + "letters, digits and hyphens and begins with a letter")
        }
        let labels = selector(object, kind).filter { !$0.key.hasPrefix(Annotation.prefix) }
        guard !labels.isEmpty else {
            throw Unsuitable(reason: "a Service needs labels to find the pods, and they have none")
        }
        var metadata: ManifestObject = ["name": .string(name)]
        metadata["namespace"] = object["metadata"]?["namespace"]
        return [
            "apiVersion": "v1", "kind": "Service", "metadata": .object(metadata),
            "spec": [
                "selector": .object(ManifestObject(unique: labels)),
                "ports": [["name": "mtls", "port": 443, "targetPort": .number("\(port)"), "protocol": "TCP"]],
            ],
        ]
    }

    private static func selector(_ object: ManifestValue, _ kind: WorkloadKind) -> [ManifestObject.Member] {
        let template = kind.podPath.tokens.reduce(object) { $0[$1] ?? .null }
        let selector = object["spec"]?["selector"]
        let labels: ManifestValue? =
            switch kind {
            case .deployment, .statefulSet, .daemonSet, .replicaSet: selector?["matchLabels"]
            case .replicationController: selector
            case .pod, .job, .cronJob: nil
            }
        return (labels?.object ?? template["metadata"]?["labels"]?.object)?.members ?? []
    }
}
