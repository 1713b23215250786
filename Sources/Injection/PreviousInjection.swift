import Manifest

/// Takes an earlier injection out of a pod, so that a new one finds the pod as its author wrote it.
enum PreviousInjection {
    static func undone(_ pod: Pod) -> Pod {
        guard pod.annotations[Annotation.Name.status.key] != nil else { return pod }
        var pod = pod
        let probes = originalProbes(pod)
        for list in Pod.ContainerList.allCases {
            pod[list] = pod[list].filter { !isInjected($0) }.map {
                var container = $0
                ProbeRewrite.restore(&container, from: probes)
                return container
            }
        }
        pod.volumes = pod.volumes.filter { $0.name != SidecarPlan.volume || $0["secret"] == nil }
        pod.annotations[Annotation.Name.status.key] = nil
        // A name that injection chose, of a container that is no more.
        if let name = pod.annotations[Annotation.defaultContainer]?.string,
            !pod.containers.contains(where: { $0.name == name })
        {
            pod.annotations[Annotation.defaultContainer] = nil
        }
        return pod
    }

    /// Not by the name alone: a status that was copied into another pod must not cost that pod a container of its own.
    private static func isInjected(_ container: ManifestObject) -> Bool {
        switch container.name {
        case SidecarPlan.container: container["args"] == ["run"]
        case SidecarPlan.initContainer: container["args"] == ["init"]
        case _: false
        }
    }

    private static func originalProbes(_ pod: Pod) -> [String: ManifestValue] {
        let sidecar = (pod.initContainers + pod.containers).first { $0.name == SidecarPlan.container }
        let variable = sidecar?["env"]?.array?.first { $0["name"]?.string == "APP_PROBES" }
        guard let text = variable?["value"]?.string else { return [:] }
        // Escaped against Kubernetes' own references to variables.
        return (try? JSONReader.read(SidecarPlan.unescaped(text)))?.object?.dictionary ?? [:]
    }
}
