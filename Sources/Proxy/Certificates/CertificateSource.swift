import Files

/// Where certificates come from, and which of them this process cannot do without.
package struct CertificateSource: Sendable, Equatable {
    package var directories: CertificateDirectories
    /// Inbound connections are accepted.
    package var needsServer: Bool
    /// Outbound connections are made; without, a missing client pair is no problem.
    package var needsClient: Bool
    /// Connections to servers are made with TLS: whoever has a client pair shows it there.
    package var usesClient: Bool

    /// What names the one directory that is read, for a server that does not ask who its clients are.
    private(set) var onlyServer: String?

    /// The pair of a server that takes every client.
    ///
    /// - Parameter name: of the option that names the directory.
    package static func serverOnly(_ directory: String, namedBy name: String) -> CertificateSource {
        var source = CertificateSource(
            CertificateDirectories(server: directory, client: directory, ca: directory), needsServer: true,
            needsClient: false)
        source.onlyServer = name
        return source
    }

    package init(
        _ directories: CertificateDirectories, needsServer: Bool, needsClient: Bool, usesClient: Bool = false
    ) {
        self.directories = directories
        self.needsServer = needsServer
        self.needsClient = needsClient
        self.usesClient = usesClient || needsClient
    }

    package init(_ configuration: Configuration) {
        let isTransparent = configuration.capture.isTransparent
        self.init(
            configuration.tls.directories,
            needsServer: configuration.inbound.listenPort != nil || isTransparent,
            needsClient: isTransparent || configuration.outbound.proxyPort != nil,
            usesClient: configuration.inbound.upstream.scheme == .https)
    }

    /// Every name under which a file may matter.
    static let names = [
        "tls.crt", "tls.key", "certificate", "private_key", "ca-bundle.pem", "ca-bundle.crt", "ca.crt", "issuing_ca",
    ]

    /// A number that differs when the content of a file does, or whether it can be read.
    func fingerprint() -> Int {
        var hasher = Hasher()
        for path in [directories.server, directories.client, directories.ca] {
            let directory = CertificateDirectory(path)
            for name in CertificateSource.names {
                switch directory.read(name) {
                case .bytes(let bytes): hasher.combine(bytes)
                case .absent: hasher.combine(0)
                case .unreadable(let why): hasher.combine(why)
                }
            }
        }
        return hasher.finalize()
    }
}
