package import Manifest
import Proxy

/// The MutatingWebhookConfiguration as the API server holds it, and what must change in it.
package struct Registration {
    private let object: ManifestValue

    package init(_ object: ManifestValue) { self.object = object }

    /// A JSON Patch (RFC 6902) that puts the bundle, and the policy where one is wished, into each of the webhooks; nil when
    /// all is in place.
    ///
    /// It names each webhook that it means, so that a registration that was changed meanwhile is left alone.
    package func patch(caBundle: [UInt8], failurePolicy: FailurePolicy?) -> ManifestValue? {
        let bundle = ManifestValue.string(Base64.text(caBundle))
        var operations: [ManifestValue] = []
        for (index, webhook) in (object["webhooks"]?.array ?? []).enumerated() {
            let path = JSONPointer(["webhooks", "\(index)"])
            var changes: [ManifestValue] = []
            if webhook["clientConfig"]?["caBundle"] != bundle {
                changes.append(Registration.set(path.appending("clientConfig").appending("caBundle"), bundle))
            }
            if let name = failurePolicy?.name, webhook["failurePolicy"]?.string != name {
                changes.append(Registration.set(path.appending("failurePolicy"), .string(name)))
            }
            guard !changes.isEmpty else { continue }
            let name = path.appending("name").description
            operations.append(["op": "test", "path": .string(name), "value": webhook["name"] ?? .null])
            operations += changes
        }
        return operations.isEmpty ? nil : .array(operations)
    }

    package var webhookCount: Int { object["webhooks"]?.array?.count ?? 0 }

    /// `add` replaces what is there.
    private static func set(_ path: JSONPointer, _ value: ManifestValue) -> ManifestValue {
        ["op": "add", "path": .string(path.description), "value": value]
    }
}
