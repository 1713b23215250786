import Manifest

/// What in a pod cannot be beside the sidecar: a sentence each, which names the place and the way out.
enum Conflicts {
    static func find(in pod: Pod, with plan: SidecarPlan) -> [String] {
        names(pod) + ports(pod, plan) + users(pod, plan)
    }

    private static func names(_ pod: Pod) -> [String] {
        let containers = [SidecarPlan.container, SidecarPlan.initContainer]
        var sentences = (pod.initContainers + pod.containers).map(\.name).filter { containers.contains($0) }.map {
            "a container is named \"\($0)\", which is the sidecar's name: rename it"
        }
        if pod.volumes.contains(where: { $0.name == SidecarPlan.volume }) {
            sentences.append(
                "a volume is named \"\(SidecarPlan.volume)\", which is the name of the sidecar's: rename it; the annotation "
                    + "\(Annotation.Name.tlsSecret.key) says which Secret the sidecar uses")
        }
        return sentences
    }

    private static func ports(_ pod: Pod, _ plan: SidecarPlan) -> [String] {
        var sentences: [String] = []
        for container in pod.runningContainers {
            let used = Set(ContainerPorts.used(container))
            for (variable, port) in plan.ownPorts where used.contains(port) {
                sentences.append(
                    "container \"\(container.name)\" uses port \(port), which is the sidecar's \(variable): set the "
                        + "annotation \(Variable.annotation(variable)) to a free port")
            }
        }
        return sentences
    }

    /// The proxy's own traffic is left alone, by its user: an application of the same user would speak in plain text.
    private static func users(_ pod: Pod, _ plan: SidecarPlan) -> [String] {
        guard plan.mode == .transparent else { return [] }
        let ofPod = pod.spec["securityContext"]?["runAsUser"]?.integer
        return (pod.initContainers + pod.containers).compactMap { container in
            guard (container["securityContext"]?["runAsUser"]?.integer ?? ofPod) == plan.proxyUser else { return nil }
            return
                "container \"\(container.name)\" runs as user \(plan.proxyUser), whose traffic is not captured because it is "
                + "the sidecar's: run it as another, or set the annotation \(Variable.annotation("PROXY_UID"))"
        }
    }
}

/// What works, but not as one may expect.
enum Caveats {
    static func find(in pod: Pod, with plan: SidecarPlan) -> [String] {
        guard plan.mode == .transparent else { return [] }
        var sentences: [String] = []
        if pod.spec["securityContext"]?["runAsNonRoot"]?.bool == true {
            sentences.append(
                "the pod's runAsNonRoot does not hold for \(SidecarPlan.initContainer), which writes the capture rules as root "
                    + "and ends")
        }
        for container in pod.runningContainers {
            for hook in ["postStart", "preStop"] {
                let action = container["lifecycle"]?[hook]
                guard let target = action?["httpGet"] ?? action?["tcpSocket"], (target["host"]?.string ?? "").isEmpty
                else { continue }
                sentences.append(
                    "container \"\(container.name)\": its \(hook) hook comes from the kubelet without mutual TLS and is "
                        + "refused unless the annotation \(Variable.annotation("EXCLUDE_INBOUND_PORTS")) leaves its port "
                        + "out: do so, or use exec")
            }
        }
        return sentences
    }
}
