import Manifest
import Testing

@testable import Injection

/// The rules that manifests alone do not show: who takes part, and what an earlier injection leaves. The rest is in the
/// end-to-end tests, over sample files.
@Suite struct InjectorTests {
    private func injector(
        _ optIn: InjectionSettings.OptIn = .everything, isNative: Bool = true, image: String = "i:1"
    ) -> Injector {
        var settings = InjectionSettings(optIn: optIn, version: "1", problems: { _ in [] })
        settings.hasNativeSidecars = isNative
        settings.image = image
        return Injector(settings)
    }

    private func pod(
        annotations: ManifestObject = [:], labels: ManifestObject = [:], _ container: ManifestObject = [:],
        spec: ManifestObject = [:]
    ) -> ManifestValue {
        var container = container
        container["name"] = "app"
        var spec = spec
        spec["containers"] = [.object(container)]
        return [
            "apiVersion": "v1", "kind": "Pod",
            "metadata": ["name": "p", "annotations": .object(annotations), "labels": .object(labels)],
            "spec": .object(spec),
        ]
    }

    private func injected(_ object: ManifestValue, _ injector: Injector) throws -> ManifestValue {
        guard case .injected(let operations, _) = injector.outcome(for: object) else {
            Issue.record("\(injector.outcome(for: object))")
            return object
        }
        return try object.applying(operations)
    }

    private func isInjected(_ outcome: InjectionOutcome) -> Bool {
        switch outcome {
        case .injected: true
        case .unchanged, .skipped, .refused: false
        }
    }

    // MARK: who takes part

    @Test(arguments: [nil, "true", "enabled", "false", "disabled"], [nil, "true", "false"])
    func optingIn(_ annotation: String?, _ label: String?) {
        for namespace in [nil, false, true] { optingIn(namespace, annotation, label) }
    }

    private func optingIn(_ namespace: Bool?, _ annotation: String?, _ label: String?) {
        let key = "sidecar.mtls.dev/inject"
        var annotations: ManifestObject = [:]
        var labels: ManifestObject = [:]
        annotations[key] = annotation.map { .string($0) }
        labels[key] = label.map { .string($0) }
        let outcome = injector(.namespace(isEnabled: namespace)).outcome(
            for: pod(annotations: annotations, labels: labels))
        let isOut = annotation == "false" || annotation == "disabled" || label == "false"
        let isIn = namespace == true || annotation == "true" || annotation == "enabled" || label == "true"
        #expect(isInjected(outcome) == (isIn && !isOut))
        if case .skipped(let reason) = outcome { #expect(reason.isNoteworthy == isOut) }
    }

    @Test func anUnclearWishIsRefused() {
        let outcome = injector().outcome(for: pod(annotations: ["sidecar.mtls.dev/inject": "maybe"]))
        guard case .refused(let sentences) = outcome else { return #expect(Bool(false), "\(outcome)") }
        #expect(sentences.count == 1 && sentences[0].contains("is \"maybe\" and must be"))
    }

    @Test func kindsOfOtherGroupsHaveNoPods() {
        var object = pod()
        for (api, kind) in [
            ("apps/v1", "Pod"), ("v1", "Deployment"), ("example.org/v1", "Deployment"), ("v1", "Service"),
        ] {
            object = .object(["apiVersion": .string(api), "kind": .string(kind), "spec": object["spec"] ?? .null])
            guard case .skipped = injector().outcome(for: object) else { return #expect(Bool(false), "\(api) \(kind)") }
        }
    }

    @Test func aPodThatEndsIsLeftAloneWithoutNativeSidecars() {
        for policy in ["Never", "OnFailure", "Always"] {
            let ending = pod(spec: ["restartPolicy": .string(policy)])
            #expect(isInjected(injector(isNative: true).outcome(for: ending)))
            #expect(isInjected(injector(isNative: false).outcome(for: ending)) == (policy == "Always"))
        }
        let willing = pod(
            annotations: ["sidecar.mtls.dev/job": "quit-by-application"], spec: ["restartPolicy": "Never"])
        #expect(isInjected(injector(isNative: false).outcome(for: willing)))
    }

    // MARK: again

    private var probed: ManifestValue {
        pod(["livenessProbe": ["httpGet": ["path": "/$(A)", "port": 80], "periodSeconds": 5]])
    }

    @Test func aSecondTimeChangesNothing() throws {
        for isNative in [true, false] {
            let injector = injector(isNative: isNative)
            #expect(injector.outcome(for: try injected(probed, injector)) == .unchanged)
        }
    }

    @Test func anotherSidecarReplacesTheOldOne() throws {
        let forms = [injector(isNative: true), injector(isNative: false), injector(image: "i:2")]
        for first in forms {
            for second in forms
            where first.settings.image != second.settings.image
                || first.settings.hasNativeSidecars != second.settings.hasNativeSidecars
            {
                #expect(try injected(try injected(probed, first), second) == (try injected(probed, second)))
            }
        }
    }

    /// The API server writes its defaults into what it stores.
    @Test func defaultsOfTheServerAreNoChange() throws {
        let injector = injector()
        var stored = try injected(probed, injector)
        try stored.apply(.add(JSONPointer(["spec", "containers", "0", "livenessProbe", "timeoutSeconds"]), 1))
        try stored.apply(.add(JSONPointer(["spec", "containers", "0", "livenessProbe", "httpGet", "scheme"]), "HTTP"))
        try stored.apply(.add(JSONPointer(["spec", "initContainers", "1", "terminationMessagePath"]), "/dev/log"))
        try stored.apply(.add(JSONPointer(["spec", "restartPolicy"]), "Always"))
        try stored.apply(.add(JSONPointer(["spec", "volumes", "-"]), ["name": "kube-api-access-x"]))
        #expect(injector.outcome(for: stored) == .unchanged)
    }

    @Test(arguments: ["/spec/initContainers/0", "/spec/volumes/0"])
    func whatWasTakenOutByHandComesBack(_ place: String) throws {
        let injector = injector()
        let whole = try injected(probed, injector)
        var broken = whole
        try broken.apply(.remove(JSONPointer(place.split(separator: "/").map(String.init))))
        #expect(try injected(broken, injector) == whole)
    }

    @Test func probesWhoseSidecarWasTakenOutByHandAreLost() throws {
        let injector = injector()
        var broken = try injected(probed, injector)
        try broken.apply(.remove(JSONPointer(["spec", "initContainers", "1"])))
        guard case .refused(let sentences) = injector.outcome(for: broken) else { return #expect(Bool(false)) }
        #expect(sentences.count == 1 && sentences[0].contains("its livenessProbe goes to a sidecar"))
    }

    @Test func aProbeThatWasPutBackByHandIsRewrittenAgain() throws {
        let injector = injector()
        let whole = try injected(probed, injector)
        var changed = whole
        let probe: ManifestValue = ["httpGet": ["path": "/$(A)", "port": 80], "periodSeconds": 5]
        try changed.apply(.replace(JSONPointer(["spec", "containers", "0", "livenessProbe"]), probe))
        #expect(try injected(changed, injector) == whole)
    }

    @Test func aStatusThatCannotBeReadIsReplaced() throws {
        let injector = injector()
        let whole = try injected(probed, injector)
        var changed = whole
        let status = JSONPointer(["metadata", "annotations", "sidecar.mtls.dev/status"])
        try changed.apply(.replace(status, "{"))
        #expect(try injected(changed, injector) == whole)
    }

    // MARK: settings

    @Test func everyVariableOfTheDocumentationHasAnAnnotation() {
        #expect(Set(Variable.names).count == Variable.names.count)
        for name in Variable.names {
            let key = Variable.annotation(name)
            #expect(Variable.name(key.dropFirst(Annotation.prefix.count)) == name)
            #expect(Annotation.Name(rawValue: String(key.dropFirst(Annotation.prefix.count))) == nil)
        }
        #expect(Set(Variable.names).isDisjoint(with: Variable.reserved.keys))
    }

    @Test(arguments: ["50m", "1", "0.5", "64Mi", "1G", "1.25Gi"])
    func quantities(_ text: String) {
        #expect(KubernetesName.quantity(text) != nil)
    }

    @Test(arguments: ["", "m", "-1", "1.", ".5", "1mm", "1 Mi", "64MiB", "1e3x", "é"])
    func noQuantities(_ text: String) {
        #expect(KubernetesName.quantity(text) == nil)
    }

    @Test func problemsOfTheEnvironmentNameTheirAnnotation() {
        var settings = InjectionSettings(optIn: .everything, version: "1") { environment in
            environment["LOG_LEVEL"] == "loud" ? ["LOG_LEVEL=loud is not valid"] : []
        }
        settings.image = "i:1"
        let outcome = Injector(settings).outcome(for: pod(annotations: ["sidecar.mtls.dev/log-level": "loud"]))
        #expect(outcome == .refused(["the annotation sidecar.mtls.dev/log-level: LOG_LEVEL=loud is not valid"]))
    }
}
