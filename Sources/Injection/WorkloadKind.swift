package import Manifest

/// The kinds of objects that have pods, and where in them the pod is.
package enum WorkloadKind: String, Sendable, CaseIterable {
    case pod = "Pod"
    case deployment = "Deployment"
    case statefulSet = "StatefulSet"
    case daemonSet = "DaemonSet"
    case replicaSet = "ReplicaSet"
    case replicationController = "ReplicationController"
    case job = "Job"
    case cronJob = "CronJob"

    /// nil for other kinds, and for kinds of the same name in other API groups.
    package init?(kind: String, apiVersion: String) {
        guard let workload = WorkloadKind(rawValue: kind) else { return nil }
        let group = apiVersion.split(separator: "/").dropLast().joined(separator: "/")
        guard group == workload.group else { return nil }
        self = workload
    }

    private var group: String {
        switch self {
        case .pod, .replicationController: ""
        case .deployment, .statefulSet, .daemonSet, .replicaSet: "apps"
        case .job, .cronJob: "batch"
        }
    }

    /// Where metadata and spec of the pod are.
    package var podPath: JSONPointer {
        switch self {
        case .pod: JSONPointer()
        case .deployment, .statefulSet, .daemonSet, .replicaSet, .replicationController, .job:
            JSONPointer(["spec", "template"])
        case .cronJob: JSONPointer(["spec", "jobTemplate", "spec", "template"])
        }
    }

    /// Whether its pods end by themselves.
    package var runsToCompletion: Bool {
        switch self {
        case .job, .cronJob: true
        case .pod, .deployment, .statefulSet, .daemonSet, .replicaSet, .replicationController: false
        }
    }
}
