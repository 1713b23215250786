package import Manifest

/// Adds the sidecar to objects: a function of object and settings, without any I/O.
package struct Injector: Sendable {
    package let settings: InjectionSettings

    package init(_ settings: InjectionSettings) {
        self.settings = settings
    }

    /// What to do to an object: a Pod, or a workload with a pod template. A list (`kind: List`) is taken apart by the
    /// caller.
    package func outcome(for object: ManifestValue) -> InjectionOutcome {
        guard let name = object["kind"]?.string else {
            return .skipped(SkipReason("it has no kind", isNoteworthy: false))
        }
        guard let kind = WorkloadKind(kind: name, apiVersion: object["apiVersion"]?.string ?? "") else {
            return .skipped(Injector.unknown(name, object))
        }
        let pod: Pod
        do throws(Pod.Malformed) {
            pod = try Pod(kind.podPath.tokens.reduce(object) { $0[$1] ?? .null })
        } catch {
            return .refused([(kind.podPath.tokens + [error.reason]).joined(separator: ".")])
        }
        switch participation(of: pod) {
        case .takesPart: break
        case .staysOut(let reason): return .skipped(reason)
        case .unclear(let sentences): return .refused(sentences)
        }
        switch transformed(pod, runsToCompletion: kind.runsToCompletion || pod.runsToCompletion) {
        case .unchanged: return .unchanged
        case .skipped(let reason): return .skipped(reason)
        case .refused(let sentences): return .refused(sentences)
        case .injected(let new, let warnings):
            let result = object.replacing(kind.podPath) { new.merged(into: $0) }
            return .injected(
                object.operations(to: result), warnings: warnings + Injector.misplacedWishes(object, kind))
        }
    }

    /// The Service for the mTLS port of an object that takes part: nil where none is asked for.
    ///
    /// - Parameter isAsked: whether the caller wants one for every object in the explicit mode; else annotations decide.
    package func service(for object: ManifestValue, isAsked: Bool) -> ServiceOutcome? {
        guard let name = object["kind"]?.string,
            let kind = WorkloadKind(kind: name, apiVersion: object["apiVersion"]?.string ?? ""),
            let pod = try? Pod(kind.podPath.tokens.reduce(object) { $0[$1] ?? .null })
        else { return nil }
        let wishes = PodWishes(pod, settings)
        let plan = SidecarPlan(wishes, settings, upstreamPort: nil)
        guard case .takesPart = participation(of: pod), isAsked || wishes.wantsService else { return nil }
        switch plan.mode {
        case .transparent:
            return wishes.wantsService
                ? .unsuitable("no Service is made in the transparent mode: the pod keeps its ports, and so its Service")
                : nil
        case .explicit:
            guard let port = plan.tlsPort else { return .unsuitable("no Service is made: TLS_LISTEN_PORT is disabled") }
            do throws(SidecarService.Unsuitable) {
                return .service(try SidecarService.make(for: object, kind, port: port))
            } catch {
                return .unsuitable("no Service is made: \(error.reason)")
            }
        }
    }

    // MARK: who takes part

    /// A kind that injection does not know. It may make pods all the same.
    private static func unknown(_ name: String, _ object: ManifestValue) -> SkipReason {
        let spec = object["spec"]
        let templates = [spec?["template"], object["template"], spec?["jobTemplate"]?["spec"]?["template"]]
        guard name == "Pod" || templates.contains(where: { $0?["spec"]?["containers"] != nil }) else {
            return SkipReason("\(name) is no kind with pods", isNoteworthy: false)
        }
        let origin = object["apiVersion"]?.string.map { "\(name) of \($0)" } ?? "\(name) without an apiVersion"
        return SkipReason(
            "\(origin) is not known here, though it has pods: only the webhook puts the sidecar into them",
            isNoteworthy: true)
    }

    private enum Participation {
        case takesPart
        case staysOut(SkipReason)
        case unclear([String])
    }

    private func participation(of pod: Pod) -> Participation {
        let key = Annotation.Name.inject.key
        var wishes: [(place: String, isWanted: Bool)] = []
        var sentences: [String] = []
        for (place, value) in [("annotation", pod.annotations[key]), ("label", pod.labels[key])] {
            guard let value else { continue }
            if let text = value.string, let isWanted = OptInText.value(text) {
                wishes.append((place, isWanted))
            } else {
                sentences.append(
                    "the \(place) \(key) is \(value.string.map { "\"\($0)\"" } ?? value.kindName) and must be \"true\", "
                        + "\"enabled\", \"false\" or \"disabled\", in quotes")
            }
        }
        if !sentences.isEmpty { return .unclear(sentences) }
        if let optOut = wishes.first(where: { !$0.isWanted }) {
            return .staysOut(SkipReason("its \(optOut.place) \(key) says so", isNoteworthy: true))
        }
        let isAsked = wishes.contains { $0.isWanted }
        switch settings.optIn {
        case .everything: return .takesPart
        case .namespace(let isEnabled):
            guard isAsked || isEnabled == true else {
                return .staysOut(
                    SkipReason("neither it nor its namespace has \(key) set to \"enabled\"", isNoteworthy: false))
            }
            return .takesPart
        }
    }

    /// Why the sidecar cannot do anything for a pod.
    private static func obstacle(in pod: Pod) -> String? {
        let spec = pod.spec
        if spec["os"]?["name"]?.string == "windows" || spec["nodeSelector"]?["kubernetes.io/os"]?.string == "windows" {
            return "it runs on Windows, and the sidecar on Linux"
        }
        if spec["hostNetwork"]?.bool == true {
            return "it uses the node's network (hostNetwork), where capture would take everybody's traffic"
        }
        return nil
    }

    private static let jobHint =
        "it ends by itself, and without native sidecars the sidecar would keep it from ending: use them, or have the application "
        + "call POST /quit at its end and set the annotation \(Annotation.Name.job.key) to \(PodWishes.quitByApplication)"

    // MARK: the transformation

    private enum Transformation {
        case injected(Pod, warnings: [String])
        case unchanged
        case skipped(SkipReason)
        case refused([String])
    }

    private func transformed(_ current: Pod, runsToCompletion: Bool) -> Transformation {
        if let reason = Injector.obstacle(in: current) { return .skipped(SkipReason(reason, isNoteworthy: true)) }
        var pod = PreviousInjection.undone(current)
        if Injector.isWrittenByHand(pod) {
            return .skipped(SkipReason("its author has put the sidecar into it", isNoteworthy: true))
        }
        let lost = ProbeRewrite.lost(in: pod)
        if !lost.isEmpty { return .refused(lost) }
        let wishes = PodWishes(pod, settings)
        if !settings.hasNativeSidecars, runsToCompletion, !wishes.endsWithApplication, wishes.problems.isEmpty {
            return .skipped(SkipReason(Injector.jobHint, isNoteworthy: true))
        }
        let upstreamPort = pod.containers.first.flatMap { ContainerPorts.listed($0).first }
        let plan = SidecarPlan(wishes, settings, upstreamPort: upstreamPort)
        var sentences = wishes.problems + Conflicts.find(in: pod, with: plan)
        let warnings = Caveats.find(in: pod, with: plan)

        let monitorPort = plan.monitorPort
        var probes: [ManifestObject.Member] = []
        if let monitorPort {
            sentences += Injector.rewriteProbes(&pod, plan, monitorPort, into: &probes)
        } else if wishes.variables["MONITOR_PORT"] == "0" {
            sentences.append(
                "the annotation \(Variable.annotation("MONITOR_PORT")) is 0, but Kubernetes asks the sidecar's health there: "
                    + "give it a port")
        }
        let appProbes = probes.isEmpty ? nil : ManifestValue.object(ManifestObject(unique: probes)).json
        // Of a probe that asks one of the sidecar's ports enough is said.
        sentences += problems(of: plan.environment(appProbes: sentences.isEmpty ? appProbes : nil), wishes)
        guard sentences.isEmpty, let monitorPort else { return .refused(sentences) }

        let sidecar = plan.container(monitorPort: monitorPort, appProbes: appProbes)
        let status = InjectionStatus(
            version: settings.version, [plan.initContainer, sidecar, plan.volume].compactMap(\.self))
        Injector.insert(sidecar, plan, status, into: &pod)
        let isSame = InjectionStatus(current)?.hash == status.hash && Skeleton(current) == Skeleton(pod)
        return isSame ? .unchanged : .injected(pod, warnings: warnings)
    }

    /// What is wrong with the sidecar's environment, each sentence with the annotation that is to blame.
    private func problems(of environment: [String: String], _ wishes: PodWishes) -> [String] {
        settings.problems(environment).map { sentence in
            let culprits = wishes.variables.keys.filter { sentence.contains($0) }.sorted { $0.count > $1.count }
            guard let variable = culprits.first else { return sentence }
            return "the annotation \(Variable.annotation(variable)): \(sentence)"
        }
    }

    /// Only captured ports need it: in the explicit mode the kubelet reaches the application as before.
    private static func rewriteProbes(
        _ pod: inout Pod, _ plan: SidecarPlan, _ port: Int, into probes: inout [ManifestObject.Member]
    ) -> [String] {
        guard plan.mode == .transparent else { return [] }
        var sentences: [String] = []
        for list in Pod.ContainerList.allCases {
            var containers = pod[list]
            for index in containers.indices where list == .containers || containers[index].restartsAlways {
                do throws(ProbeRewrite.Malformed) {
                    probes += try ProbeRewrite.rewrite(&containers[index], monitorPort: port)
                } catch {
                    sentences.append(error.reason)
                }
            }
            pod[list] = containers
        }
        return sentences
    }

    private static func insert(
        _ sidecar: ManifestObject, _ plan: SidecarPlan, _ status: InjectionStatus, into pod: inout Pod
    ) {
        if pod.annotations[Annotation.defaultContainer] == nil, let first = pod.containers.first {
            pod.annotations[Annotation.defaultContainer] = .string(first.name)
        }
        pod.annotations[Annotation.Name.status.key] = .string(status.text)
        if plan.isNative {
            pod.initContainers = [plan.initContainer, sidecar].compactMap(\.self) + pod.initContainers
        } else {
            pod.initContainers += [plan.initContainer].compactMap(\.self)
            pod.containers = [sidecar] + pod.containers
        }
        pod.volumes += [plan.volume]
    }

    /// A manifest that has the sidecar in it already, without injection.
    private static func isWrittenByHand(_ pod: Pod) -> Bool {
        (pod.initContainers + pod.containers).contains { container in
            let names = (container["env"]?.array ?? []).compactMap { $0["name"]?.string }
            return container.name == SidecarPlan.container && container["args"] == ["run"]
                && !Set(names).isDisjoint(with: ["TRANSPARENT", "SERVER_CERT_DIR", "TLS_LISTEN_PORT"])
        }
    }

    /// What is written on the workload itself says nothing about its pods.
    private static func misplacedWishes(_ object: ManifestValue, _ kind: WorkloadKind) -> [String] {
        guard kind != .pod else { return [] }
        return [("annotation", "annotations"), ("label", "labels")].flatMap { word, field in
            let members = object["metadata"]?[field]?.object ?? ManifestObject()
            return members.keys.filter { $0.hasPrefix(Annotation.prefix) }.map {
                "the \(word) \($0) of the \(kind.rawValue) itself has no effect: put it into "
                    + (kind.podPath.tokens + ["metadata", field]).joined(separator: ".")
            }
        }
    }
}

/// What of a pod shows whether an injection is still whole: names and where probes go, without what the API server adds.
private struct Skeleton: Equatable {
    let names: [[String]]
    let probePaths: [String]

    init(_ pod: Pod) {
        // Where a volume stands means nothing, and the API server adds its own.
        names = Pod.ContainerList.allCases.map { pod[$0].map(\.name) } + [pod.volumes.map(\.name).sorted()]
        probePaths = pod.runningContainers.flatMap { container in
            ["livenessProbe", "readinessProbe", "startupProbe"].map {
                container[$0]?["httpGet"]?["path"]?.string ?? ""
            }
        }
    }
}

extension ManifestValue {
    /// This value with what is at a place replaced; unchanged if there is nothing.
    fileprivate func replacing(_ path: JSONPointer, _ change: (ManifestValue) -> ManifestValue) -> ManifestValue {
        guard let token = path.tokens.first else { return change(self) }
        guard case .object(var object) = self, let member = object[token] else { return self }
        object[token] = member.replacing(JSONPointer(Array(path.tokens.dropFirst())), change)
        return .object(object)
    }
}
