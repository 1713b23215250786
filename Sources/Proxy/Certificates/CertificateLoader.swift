import Files
import COpenSSL

/// Reads the certificate directories into one checked snapshot, and notes what it finds on the way.
struct CertificateLoader {
    private let now: Int64
    private let inForce: [CertificateSurvey.File]
    private(set) var survey = CertificateSurvey()
    /// Files that exist and cannot be read: reported as such, and not as missing too.
    private var unreadableCount = 0
    /// It has been said which trust anchors are gone.
    private var missesTrust = false

    /// - Parameter now: seconds since the epoch.
    init(now: Int64, inForce: [CertificateSurvey.File]) {
        self.now = now
        self.inForce = inForce
    }

    /// Once, although one directory may serve two purposes.
    private mutating func report(_ problem: CertificateProblem) {
        if !survey.problems.contains(problem) { survey.problems.append(problem) }
    }

    private mutating func report(_ reason: CertificateProblem.Reason, _ sentence: String) {
        report(CertificateProblem(reason, sentence))
    }

    private mutating func warn(_ sentence: String) {
        if !survey.warnings.contains(sentence) { survey.warnings.append(sentence) }
    }

    /// What is there, which is of use only when the survey has no problem.
    mutating func load(_ source: CertificateSource) -> TLSMaterial {
        if let name = source.onlyServer { return readServer(source.directories.server, name) }
        let material = read(source)
        if survey.problems.isEmpty { rehearse(material, source.directories) }
        return material
    }

    private mutating func readServer(_ directory: String, _ name: String) -> TLSMaterial {
        let pair = pair(in: CertificateDirectory(directory), name, .server)
        if let pair {
            do throws(TLSConfigurationError) {
                _ = try TLSContext.openServer(pair, minimumVersion: .v1_2)
            } catch {
                report(.unusable, "the pair of \(directory) cannot be used: \(error)")
            }
        }
        return TLSMaterial(
            server: pair, client: nil, serverTrust: [], clientTrust: [], ticketKeys: TLSMaterial.makeTicketKeys())
    }

    private mutating func read(_ source: CertificateSource) -> TLSMaterial {
        let server = CertificateDirectory(source.directories.server)
        let client = CertificateDirectory(source.directories.client)
        let ca = CertificateDirectory(source.directories.ca)
        let serverPair = source.needsServer ? pair(in: server, "SERVER_CERT_DIR", .server) : nil
        let holdsClientPair = CertificateLoader.pairNames.contains { !client.read($0.certificate).isAbsent }
        let clientPair = source.needsClient || holdsClientPair ? pair(in: client, "CLIENT_CERT_DIR", .client) : nil
        let bundle = anchors(["ca-bundle.pem", "ca-bundle.crt", "ca.crt"], in: ca, .trustForAll)
        let own = ["ca.crt", "issuing_ca"]
        let serverOwn = anchors(own, in: server, .trustForClients)
        let clientOwn = anchors(own, in: client, .trustForServers)
        if !holdsClientPair, source.usesClient, !source.needsClient { miss(.client) }
        if bundle?.isEmpty == true { miss(.trustForAll) }
        // In one directory for all, what is trusted for all may take its place.
        let standIn = bundle?.isEmpty == false ? ca.path : nil
        if serverOwn?.isEmpty == true, source.needsServer, server.path != standIn { miss(.trustForClients) }
        if clientOwn?.isEmpty == true, source.usesClient, client.path != standIn { miss(.trustForServers) }
        if source.needsServer, let bundle, let serverOwn, bundle.isEmpty, serverOwn.isEmpty {
            missTrust("clients", ca, server)
        }
        if source.needsClient, let bundle, let clientOwn, bundle.isEmpty, clientOwn.isEmpty {
            missTrust("servers", ca, client)
        }
        return TLSMaterial(
            server: serverPair, client: clientPair,
            serverTrust: CertificateLoader.unique((bundle ?? []) + (serverOwn ?? [])),
            clientTrust: CertificateLoader.unique((bundle ?? []) + (clientOwn ?? [])),
            ticketKeys: TLSMaterial.makeTicketKeys())
    }

    /// What was in force and is gone is no wish to do without it: a volume may be unmounted, or a file just about to be
    /// written again. Another file of the same purpose may take its place.
    private mutating func miss(_ role: CertificateSurvey.Role) {
        guard let file = inForce.first(where: { $0.role == role }) else { return }
        if role.isTrust { missesTrust = true }
        report(
            .missing,
            "\(role.variable) (\(file.directory)) had \(file.name), which is gone: put it back, or restart to do without it"
        )
    }

    private mutating func missTrust(_ whom: String, _ ca: CertificateDirectory, _ pair: CertificateDirectory) {
        guard !missesTrust else { return }
        report(
            .missing,
            "no trust anchor to verify \(whom) with: put ca-bundle.pem, ca-bundle.crt or ca.crt into CA_DIR "
                + "(\(ca.path)), or ca.crt or issuing_ca into \(pair.path)")
    }

    /// Makes the contexts once, since only OpenSSL knows what it will refuse, such as a key that is too short.
    private mutating func rehearse(_ material: TLSMaterial, _ directories: CertificateDirectories) {
        if material.server != nil {
            do throws(TLSConfigurationError) {
                let context = try TLSContext.server(material, minimumVersion: .v1_2)
                judgeChain(of: context, .server, directories.server)
            } catch {
                report(.unusable, "the pair of \(directories.server) cannot be used: \(error)")
            }
        }
        do throws(TLSConfigurationError) {
            let context = try TLSContext.client(material, minimumVersion: .v1_2)
            if material.client != nil, !material.clientTrust.isEmpty {
                judgeChain(of: context, .client, directories.client)
            }
        } catch {
            report(.unusable, "the pair of \(directories.client) cannot be used: \(error)")
        }
    }

    /// Other pods mostly trust what this one trusts.
    private mutating func judgeChain(of context: TLSContext, _ purpose: PairPurpose, _ directory: String) {
        guard let failure = context.ownChainFailure(as: purpose) else { return }
        warn(
            "the certificate of \(directory) does not lead to a trust anchor of this pod (\(failure)): a peer with the "
                + "same trust anchors refuses it")
    }

    // MARK: pairs

    private static let pairNames = [
        (certificate: "tls.crt", key: "tls.key"), (certificate: "certificate", key: "private_key"),
    ]

    private mutating func pair(
        in directory: CertificateDirectory, _ variable: String, _ purpose: PairPurpose
    ) -> Credentials? {
        let before = unreadableCount
        var missing: [String] = []
        for names in CertificateLoader.pairNames {
            guard let certificate = content(names.certificate, in: directory) else {
                missing.append(names.certificate)
                continue
            }
            if let key = content(names.key, in: directory) {
                return credentials(certificate, directory, names.certificate, key, names.key, purpose)
            }
            // tls.crt may hold the key too.
            if PEM.holdsKey(certificate) {
                return credentials(certificate, directory, names.certificate, certificate, names.certificate, purpose)
            }
            missing.append(names.key)
        }
        guard unreadableCount == before else { return nil }
        report(
            .missing,
            "\(variable) (\(directory.path)) holds no certificate pair: tls.crt with tls.key, or certificate with "
                + "private_key, must both exist (\(missing.joined(separator: " and ")) not found)")
        return nil
    }

    private mutating func credentials(
        _ certificate: [UInt8], _ directory: CertificateDirectory, _ name: String, _ key: [UInt8], _ keyName: String,
        _ purpose: PairPurpose
    ) -> Credentials? {
        let (certificateFile, keyFile) = (directory.name(of: name), directory.name(of: keyName))
        guard let chain = certificates(certificate, certificateFile), let first = chain.first,
            let leaf = CertificateHandle(der: first)
        else { return nil }
        let check = PairCheck(file: certificateFile, purpose: purpose, now: now)
        var faults = check.faults(in: chain)
        for warning in check.warnings(of: leaf) { warn(warning) }
        note(purpose.role, directory, name, chain.compactMap { CertificateHandle(der: $0)?.summary })
        var keyDER: [UInt8] = []
        switch PEM.privateKey(key) {
        case .key(let handle) where handle.matches(leaf): keyDER = handle.der
        case .key:
            faults.append(
                CertificateProblem(
                    .wrongKey,
                    "the private key of \(keyFile) does not belong to the first certificate of \(certificateFile)"))
        case .absent where key.isEmpty: faults.append(CertificateProblem(.empty, "\(keyFile) is empty"))
        case .absent: faults.append(CertificateProblem(.notPEM, "\(keyFile) holds no PEM private key"))
        case .encrypted:
            faults.append(
                CertificateProblem(
                    .encryptedKey, "the private key of \(keyFile) is encrypted: store it without a pass phrase"))
        case .damaged:
            faults.append(
                CertificateProblem(.damaged, "the private key of \(keyFile) is damaged or of an unknown kind"))
        }
        ERR_clear_error()
        for fault in faults { report(fault) }
        return faults.isEmpty ? Credentials(chain: chain, privateKey: keyDER, leaf: leaf.summary) : nil
    }

    /// Reports why there are none.
    private mutating func certificates(_ text: [UInt8], _ file: String) -> [[UInt8]]? {
        do throws(PEM.Fault) {
            return try PEM.readCertificates(text)
        } catch {
            report(CertificateProblem(error, of: file))
            return nil
        }
    }

    // MARK: trust

    /// The certificates of the first of the files that exists: none if none does, nil if one is no use.
    private mutating func anchors(
        _ names: [String], in directory: CertificateDirectory, _ role: CertificateSurvey.Role
    ) -> [[UInt8]]? {
        let before = unreadableCount
        for name in names {
            guard let text = content(name, in: directory) else { continue }
            guard let found = certificates(text, directory.name(of: name)) else { return nil }
            let anchors = found.compactMap(AnchorCheck.Anchor.init(der:))
            note(role, directory, name, anchors.map(\.summary))
            let check = AnchorCheck(file: directory.name(of: name), now: now)
            if let fault = check.fault(of: anchors) {
                report(fault)
            } else {
                for warning in check.warnings(of: anchors) { warn(warning) }
            }
            return found
        }
        return unreadableCount == before ? [] : nil
    }

    private mutating func note(
        _ role: CertificateSurvey.Role, _ directory: CertificateDirectory, _ name: String,
        _ certificates: [CertificateSummary]
    ) {
        survey.files.append(
            CertificateSurvey.File(role: role, directory: directory.path, name: name, certificates: certificates))
    }

    private mutating func content(_ name: String, in directory: CertificateDirectory) -> [UInt8]? {
        switch directory.read(name) {
        case .bytes(let bytes): return bytes
        case .absent: return nil
        case .unreadable(let why):
            unreadableCount += 1
            report(.unreadable, "\(directory.name(of: name)) cannot be read: \(why)")
            return nil
        }
    }

    private static func unique(_ anchors: [[UInt8]]) -> [[UInt8]] {
        Set(anchors).sorted { $0.lexicographicallyPrecedes($1) }
    }
}
