import Files
import Proxy

/// Where the API server is, and who this process is to it: what Kubernetes puts into every pod.
package struct ServiceAccount: Sendable, Equatable {
    package let host: String
    package let port: UInt16
    /// With `token`, `ca.crt` and `namespace`.
    package let directory: String

    /// Where the kubelet mounts it.
    package static let usualDirectory = "/var/run/secrets/kubernetes.io/serviceaccount"

    /// Why nobody can be asked: a sentence.
    package struct Missing: Error, Equatable {
        package let sentence: String

        package init(sentence: String) { self.sentence = sentence }
    }

    package init(environment: [String: String], directory: String) throws(Missing) {
        guard let host = environment["KUBERNETES_SERVICE_HOST"], !host.isEmpty else {
            throw Missing(
                sentence: "KUBERNETES_SERVICE_HOST is not set: this needs the API server, so run it in a pod, "
                    + "or set KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT")
        }
        let text = environment["KUBERNETES_SERVICE_PORT"] ?? "443"
        guard let port = UInt16(text), port > 0 else {
            throw Missing(sentence: "KUBERNETES_SERVICE_PORT=\(text) is not valid: it must be a port from 1 to 65535")
        }
        self.host = host
        self.port = port
        self.directory = directory
    }

    /// The token is renewed by the kubelet, so it is read for each use.
    func token() throws(Missing) -> String {
        let text = try read("token").trimmedText
        guard !text.isEmpty, text.utf8.allSatisfy({ (0x21..<0x7f).contains($0) }) else {
            throw Missing(sentence: "\(directory)/token holds no token")
        }
        return text
    }

    /// What the API server's certificate is checked against, as DER.
    func anchors() throws(Missing) -> [[UInt8]] {
        guard let anchors = PEM.certificates(try read("ca.crt")), !anchors.isEmpty else {
            throw Missing(sentence: "\(directory)/ca.crt holds no PEM certificate, or a damaged one")
        }
        return anchors
    }

    /// The pod's namespace, where the kubelet tells it.
    package var namespace: String? {
        guard let text = try? read("namespace").trimmedText, !text.isEmpty else { return nil }
        return text
    }

    private func read(_ name: String) throws(Missing) -> [UInt8] {
        switch SmallFile.read("\(directory)/\(name)") {
        case .bytes(let bytes): return bytes
        case .absent:
            throw Missing(
                sentence: "\(directory)/\(name) is missing: let the pod have its service account's token "
                    + "(automountServiceAccountToken: true)")
        case .unreadable(let why): throw Missing(sentence: "\(directory)/\(name) cannot be read: \(why)")
        }
    }
}

extension [UInt8] {
    fileprivate var trimmedText: String {
        let end = lastIndex { $0 > 0x20 }.map { $0 + 1 } ?? 0
        return String(decoding: self[..<end], as: UTF8.self)
    }
}
