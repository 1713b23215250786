import Manifest

/// What the sidecar's containers ask of the node, both the same: `sidecar-init` has ended when the others run, so its
/// request costs nothing, and a quota or a class of service that wants limits of every container gets them. nil leaves
/// a value out.
package struct SidecarResources: Sendable, Equatable {
    /// A pod autoscaler needs a request of every container.
    package var cpuRequest: String? = "10m"
    package var cpuLimit: String?
    package var memoryRequest: String? = "32Mi"
    package var memoryLimit: String? = "256Mi"

    package init() {}

    /// Where a limit is below its request, which Kubernetes refuses: a sentence each.
    var problems: [String] {
        [
            SidecarResources.problem(Annotation.Name.cpuLimit, cpuLimit, Annotation.Name.cpuRequest, cpuRequest),
            SidecarResources.problem(
                Annotation.Name.memoryLimit, memoryLimit, Annotation.Name.memoryRequest, memoryRequest),
        ].compactMap(\.self)
    }

    private static func problem(
        _ limitName: Annotation.Name, _ limit: String?, _ requestName: Annotation.Name, _ request: String?
    ) -> String? {
        guard let limit, let request, let most = KubernetesName.quantity(limit),
            let least = KubernetesName.quantity(request), most < least
        else { return nil }
        return
            "the sidecar's \(limitName.rawValue) \(limit) is below its \(requestName.rawValue) \(request): raise the "
            + "annotation \(limitName.key), or lower \(requestName.key)"
    }

    var value: ManifestValue {
        var result = ManifestObject()
        result["requests"] = SidecarResources.object(cpuRequest, memoryRequest)
        result["limits"] = SidecarResources.object(cpuLimit, memoryLimit)
        return .object(result)
    }

    private static func object(_ cpu: String?, _ memory: String?) -> ManifestValue? {
        guard cpu != nil || memory != nil else { return nil }
        var object = ManifestObject()
        object["cpu"] = cpu.map { .string($0) }
        object["memory"] = memory.map { .string($0) }
        return .object(object)
    }
}
