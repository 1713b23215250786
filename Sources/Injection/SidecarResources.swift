import Manifest

/// What the sidecar's container asks of the node. nil leaves a value out.
package struct SidecarResources: Sendable, Equatable {
    /// A pod autoscaler needs a request of every container.
    package var cpuRequest: String? = "10m"
    package var cpuLimit: String?
    package var memoryRequest: String? = "32Mi"
    package var memoryLimit: String? = "256Mi"

    package init() {}

    /// For a container that only runs at the start.
    static let initial: SidecarResources = {
        var resources = SidecarResources()
        resources.memoryRequest = "16Mi"
        resources.memoryLimit = "64Mi"
        return resources
    }()

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
