import COpenSSL

/// The directories that certificates come from.
package struct CertificateDirectories: Sendable, Equatable {
    package var server: String
    package var client: String
    package var ca: String

    package init(server: String, client: String, ca: String) {
        self.server = server
        self.client = client
        self.ca = ca
    }
}

/// Everything that is wrong with the certificate directories, a sentence each.
package struct CertificateProblems: Error {
    package let sentences: [String]
}

/// Reads the certificate directories into one checked snapshot: all of it, or the list of what is wrong.
package struct CertificateLoader {
    private let directories: CertificateDirectories
    /// Seconds since the epoch: what "expired" means.
    private let now: Int64
    private var problems: [String] = []

    /// - Parameters:
    ///   - needsServer: inbound connections are accepted.
    ///   - needsClient: outbound connections are made; without, a missing client pair is no problem.
    package static func load(
        _ directories: CertificateDirectories, needsServer: Bool, needsClient: Bool, now: Int64
    ) throws(CertificateProblems) -> TLSMaterial {
        var loader = CertificateLoader(directories: directories, now: now)
        let server = needsServer ? loader.pair(in: directories.server, "SERVER_CERT_DIR", X509_PURPOSE_SSL_SERVER) : nil
        let client =
            needsClient || loader.holdsPair(directories.client)
            ? loader.pair(in: directories.client, "CLIENT_CERT_DIR", X509_PURPOSE_SSL_CLIENT) : nil
        let bundle = loader.anchors(["ca-bundle.pem", "ca-bundle.crt", "ca.crt"], in: directories.ca)
        let own = ["ca.crt", "issuing_ca"]
        let serverTrust = bundle + loader.anchors(own, in: directories.server)
        let clientTrust = bundle + loader.anchors(own, in: directories.client)
        if needsServer, serverTrust.isEmpty { loader.missTrust("clients", directories.server) }
        if needsClient, clientTrust.isEmpty { loader.missTrust("servers", directories.client) }
        guard loader.problems.isEmpty else { throw CertificateProblems(sentences: loader.problems) }
        return TLSMaterial(
            server: server, client: client, serverTrust: CertificateLoader.unique(serverTrust),
            clientTrust: CertificateLoader.unique(clientTrust), ticketKeys: TLSMaterial.makeTicketKeys())
    }

    private mutating func missTrust(_ whom: String, _ directory: String) {
        problems.append(
            "no trust anchor to verify \(whom) with: put ca-bundle.pem, ca-bundle.crt or ca.crt into CA_DIR "
                + "(\(directories.ca)), or ca.crt or issuing_ca into \(directory)")
    }

    // MARK: pairs

    private static let pairNames = [("tls.crt", "tls.key"), ("certificate", "private_key")]

    private func holdsPair(_ directory: String) -> Bool {
        CertificateLoader.pairNames.contains { names in
            if case .absent = SmallFile.read("\(directory)/\(names.0)") { return false }
            return true
        }
    }

    private mutating func pair(in directory: String, _ variable: String, _ purpose: CInt) -> Credentials? {
        for (certificateName, keyName) in CertificateLoader.pairNames {
            let certificatePath = "\(directory)/\(certificateName)"
            let keyPath = "\(directory)/\(keyName)"
            guard let certificate = content(certificatePath) else { continue }
            // tls.crt may hold the key too.
            let key = content(keyPath) ?? (keyName == "tls.key" && PEM.holdsKey(certificate) ? certificate : nil)
            guard let key else { continue }
            return credentials(certificate, certificatePath, key, keyPath, purpose)
        }
        problems.append(
            "\(variable) (\(directory)) holds no certificate pair: tls.crt with tls.key, or certificate with private_key, "
                + "must both exist")
        return nil
    }

    private mutating func credentials(
        _ certificate: [UInt8], _ certificatePath: String, _ key: [UInt8], _ keyPath: String, _ purpose: CInt
    ) -> Credentials? {
        guard let chain = PEM.certificates(certificate), let first = chain.first,
            let leaf = CertificateHandle(der: first)
        else {
            problems.append("\(certificatePath) is not a PEM certificate, or is damaged")
            return nil
        }
        let before = problems.count
        check(leaf, certificatePath, purpose)
        var keyDER: [UInt8] = []
        switch PEM.privateKey(key) {
        case .key(let handle):
            if handle.matches(leaf) {
                keyDER = handle.der
            } else {
                problems.append(
                    "the private key of \(keyPath) does not belong to the certificate of \(certificatePath)")
            }
        case .absent: problems.append("\(keyPath) holds no PEM private key")
        case .encrypted: problems.append("the private key of \(keyPath) is encrypted: store it without a pass phrase")
        case .damaged: problems.append("the private key of \(keyPath) is damaged or of an unknown kind")
        }
        ERR_clear_error()
        guard problems.count == before else { return nil }
        return Credentials(chain: chain, privateKey: keyDER, leaf: leaf.summary)
    }

    private mutating func check(_ leaf: borrowing CertificateHandle, _ path: String, _ purpose: CInt) {
        let summary = leaf.summary
        if summary.notAfter < now {
            problems.append("the certificate of \(path) expired at \(Timestamp.text(seconds: summary.notAfter))")
        }
        if summary.notBefore > now {
            problems.append(
                "the certificate of \(path) is not valid before \(Timestamp.text(seconds: summary.notBefore)): "
                    + "wait, or set the clock")
        }
        if !leaf.mayServe(as: purpose) {
            let usage = purpose == X509_PURPOSE_SSL_SERVER ? "serverAuth" : "clientAuth"
            problems.append("the certificate of \(path) lacks the extended key usage \(usage)")
        }
    }

    // MARK: trust

    /// The certificates of the first of the files that exists.
    private mutating func anchors(_ names: [String], in directory: String) -> [[UInt8]] {
        for name in names {
            let path = "\(directory)/\(name)"
            guard let text = content(path) else { continue }
            guard let found = PEM.certificates(text), !found.isEmpty else {
                problems.append("\(path) holds no PEM certificate, or a damaged one")
                return []
            }
            return found
        }
        return []
    }

    private mutating func content(_ path: String) -> [UInt8]? {
        switch SmallFile.read(path) {
        case .bytes(let bytes): return bytes
        case .absent: return nil
        case .unreadable(let why):
            problems.append("\(path) cannot be read: \(why)")
            return nil
        }
    }

    private static func unique(_ anchors: [[UInt8]]) -> [[UInt8]] {
        Set(anchors).sorted { $0.lexicographicallyPrecedes($1) }
    }

    private init(directories: CertificateDirectories, now: Int64) {
        self.directories = directories
        self.now = now
    }
}
