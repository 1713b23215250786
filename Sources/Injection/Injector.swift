package import Manifest

/// Adds the sidecar to objects: a function of object and settings, without any I/O.
package struct Injector: Sendable {
    package let settings: InjectionSettings

    package init(_ settings: InjectionSettings) {
        self.settings = settings
    }

    /// What to do to an object: a Pod, or a workload with a pod template. A list (`kind: List`, `PodList`, ...) is
    /// taken apart by the caller.
    package func outcome(for object: ManifestValue) -> InjectionOutcome {
        guard let kind = object["kind"]?.string else {
            return .skipped(SkipReason("it has no kind", isNoteworthy: false))
        }
        guard WorkloadKind(kind: kind, apiVersion: object["apiVersion"]?.string ?? "") != nil else {
            return .skipped(SkipReason("a \(kind) has no pods", isNoteworthy: false))
        }
        return .unchanged
    }
}
