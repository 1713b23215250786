import Manifest

/// The status annotation: that a pod has the sidecar, and which.
struct InjectionStatus: Equatable {
    let version: String
    /// Of what was put in: another hash means another sidecar.
    let hash: String

    init(version: String, _ parts: [ManifestObject]) {
        self.version = version
        hash = InjectionStatus.hash(parts.map { ManifestValue.object($0).json }.joined(separator: "\n"))
    }

    /// nil if the pod has no status; a status that cannot be read is one of an unknown hash.
    init?(_ pod: Pod) {
        guard let text = pod.annotations[Annotation.Name.status.key]?.string else { return nil }
        let value = (try? JSONReader.read(Array(text.utf8))) ?? .null
        version = value["version"]?.string ?? ""
        hash = value["hash"]?.string ?? ""
    }

    var text: String {
        ManifestValue.object(["version": .string(version), "hash": .string(hash)]).json
    }

    /// FNV-1a over 64 bits: it tells versions of the same thing apart and protects from nobody.
    private static func hash(_ text: String) -> String {
        var state: UInt64 = 0xcbf2_9ce4_8422_2325
        for byte in text.utf8 { state = (state ^ UInt64(byte)) &* 0x100_0000_01b3 }
        let digits = String(state, radix: 16)
        return String(repeating: "0", count: 16 - digits.count) + digits
    }
}
