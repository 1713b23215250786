import Files

/// One directory of certificates, looked at in one moment.
///
/// The kubelet replaces a Secret by swapping the link `..data`. Reading through the link's target, found once, keeps the
/// certificate and the key of one version together although the swap may fall between the two reads.
struct CertificateDirectory {
    let path: String
    /// Where the files are read; the same as `path` outside Kubernetes.
    private let snapshot: String

    init(_ path: String) {
        self.path = path
        snapshot = SmallFile.target(ofLink: "\(path)/..data").map { "\(path)/\($0)" } ?? path
    }

    /// How messages name a file: as the operator does.
    func name(of file: String) -> String { "\(path)/\(file)" }

    func read(_ file: String) -> SmallFile.Content {
        let found = SmallFile.read("\(snapshot)/\(file)")
        return found.isAbsent ? SmallFile.read(name(of: file)) : found
    }
}
