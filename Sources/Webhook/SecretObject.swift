package import CertTool
package import Manifest
import Proxy

/// A Secret with a certificate in cert-manager's layout: tls.crt, tls.key, ca.crt; an authority's has ca.key too.
package struct SecretObject: Sendable, Equatable {
    private let object: ManifestValue

    /// What the API server has answered.
    package init(_ object: ManifestValue) { self.object = object }

    /// One that does not exist yet.
    ///
    /// - Parameter type: `Opaque`, or `kubernetes.io/tls`, which cannot be changed later.
    package init(_ place: APIClient.Place, type: String) {
        object = [
            "apiVersion": "v1", "kind": "Secret",
            "metadata": [
                "name": .string(place.name), "namespace": .string(place.namespace ?? ""),
                "labels": ["app.kubernetes.io/managed-by": "sidecar"],
            ],
            "type": .string(type),
        ]
    }

    /// The bytes under a name; nil where there are none, or no base64.
    package func data(_ key: String) -> [UInt8]? {
        object["data"]?[key]?.string.flatMap { Base64.bytes($0) }.flatMap { $0.isEmpty ? nil : $0 }
    }

    package func pair(_ certificate: String, _ key: String) -> CertificatePair? {
        guard let certificate = data(certificate), let key = data(key) else { return nil }
        return CertificatePair(certificate: certificate, key: key)
    }

    /// What is to be sent: everything else of the object stays, its resourceVersion too.
    package func with(_ data: [(key: String, bytes: [UInt8])]) -> ManifestValue {
        guard var object = object.object else { return object }
        var all = object["data"]?.object ?? ManifestObject()
        for (key, bytes) in data { all[key] = .string(Base64.text(bytes)) }
        object["data"] = .object(all)
        return .object(object)
    }
}
