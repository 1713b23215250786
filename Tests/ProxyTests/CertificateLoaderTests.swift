import Files
import Glibc
import Testing

@testable import Proxy

/// The directories of certificates, in each of their layouts and with each of their faults.
struct CertificateLoaderTests {
    private let authority = Authority()
    private let server: TemporaryDirectory
    private let client: TemporaryDirectory
    private let ca: TemporaryDirectory

    init() throws {
        server = try TemporaryDirectory()
        client = try TemporaryDirectory()
        ca = try TemporaryDirectory()
    }

    private func load(needsServer: Bool = true, needsClient: Bool = false) throws(CertificateProblems) -> TLSMaterial {
        try LoadedCertificates(
            CertificateSource(
                CertificateDirectories(server: server.path, client: client.path, ca: ca.path),
                needsServer: needsServer, needsClient: needsClient),
            now: Int64(time(nil))
        ).material
    }

    private func problems(needsServer: Bool = true, needsClient: Bool = false) -> [String] {
        do throws(CertificateProblems) {
            _ = try load(needsServer: needsServer, needsClient: needsClient)
            return []
        } catch {
            return error.sentences
        }
    }

    private func writeTrust() throws { try ca.write(authority.pair.certificatePEM, to: "ca.crt") }

    private func write(_ pair: IssuedPair, to directory: TemporaryDirectory) throws {
        try directory.write(pair.certificatePEM, to: "tls.crt")
        try directory.write(pair.keyPEM(), to: "tls.key")
    }

    // MARK: layouts

    /// Ed25519 has no form but PKCS#8 (RFC 8410).
    @Test(arguments: [
        (CertificateRequest.KeyKind.p256, IssuedPair.KeyForm.pkcs8), (.p256, .traditional), (.p384, .traditional),
        (.rsa2048, .pkcs8), (.rsa2048, .traditional), (.ed25519, .pkcs8),
    ])
    func eachKindAndFormOfKeyIsRead(_ kind: CertificateRequest.KeyKind, _ form: IssuedPair.KeyForm) throws {
        let pair = authority.issue("server") { $0.key = kind }
        try writeTrust()
        try server.write(pair.certificatePEM, to: "tls.crt")
        try server.write(pair.keyPEM(form), to: "tls.key")
        let material = try load()
        #expect(material.server?.chain == [pair.certificate])
        #expect(material.server?.leaf.commonName == "server")
        #expect(material.client == nil)
        #expect(material.ticketKeys.count == 80)
        _ = try TLSContext.server(material, minimumVersion: .v1_2)
    }

    @Test func anECKeyMayFollowItsParameters() throws {
        let pair = authority.issue("server")
        try writeTrust()
        try server.write(pair.certificatePEM, to: "tls.crt")
        // As `openssl ecparam -genkey` writes it: the curve's name first.
        let curve = PEMText.block("EC PARAMETERS", [0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07])
        try server.write(curve + pair.keyPEM(.traditional), to: "tls.key")
        #expect(try load().server != nil)
    }

    @Test func oneFileMayHoldKeyLeafAndChain() throws {
        let issuer = authority.intermediate("Issuing CA")
        let pair = issuer.issue("server")
        try writeTrust()
        try server.write("notes\n" + pair.keyPEM() + pair.certificatePEM + issuer.pair.certificatePEM, to: "tls.crt")
        #expect(try load().server?.chain == [pair.certificate, issuer.pair.certificate])
    }

    @Test func certificateAndPrivateKeyAreTheSecondChoice() throws {
        let (first, second) = (authority.issue("first"), authority.issue("second"))
        try writeTrust()
        try server.write(second.certificatePEM, to: "certificate")
        try server.write(second.keyPEM(), to: "private_key")
        #expect(try load().server?.leaf.commonName == "second")
        try server.write(first.certificatePEM, to: "tls.crt")
        #expect(try load().server?.leaf.commonName == "second")
        try server.write(first.keyPEM(), to: "tls.key")
        #expect(try load().server?.leaf.commonName == "first")
    }

    @Test func aClientPairIsOptionalUnlessItIsNeeded() throws {
        try writeTrust()
        try write(authority.issue("server"), to: server)
        #expect(try load().client == nil)
        #expect(problems(needsClient: true).contains { $0.contains("CLIENT_CERT_DIR (\(client.path))") })
        try write(authority.issue("client"), to: client)
        #expect(try load().client?.leaf.commonName == "client")
        #expect(try load(needsServer: false, needsClient: true).server == nil)
    }

    @Test func trustComesFromTheFirstBundleAndThePairsOwnDirectory() throws {
        let (a, b, c, d) = (Authority("a"), Authority("b"), Authority("c"), Authority("d"))
        try write(authority.issue("server"), to: server)
        try ca.write(
            "# comment\n" + b.pair.certificatePEM + a.pair.certificatePEM + a.pair.certificatePEM, to: "ca-bundle.crt")
        try ca.write(c.pair.certificatePEM, to: "ca.crt")
        try server.write(c.pair.certificatePEM, to: "issuing_ca")
        try client.write(d.pair.certificatePEM, to: "ca.crt")
        try client.write("ignored, since ca.crt stands", to: "issuing_ca")
        let material = try load()
        #expect(Set(material.serverTrust) == Set([a, b, c].map(\.pair.certificate)))
        #expect(Set(material.clientTrust) == Set([a, b, d].map(\.pair.certificate)))
        #expect(material.serverTrust.count == 3)
        try ca.write(d.pair.certificatePEM, to: "ca-bundle.pem")
        #expect(Set(try load().serverTrust) == Set([c, d].map(\.pair.certificate)))
    }

    @Test func aSecretIsReadThroughOneVersionOfIt() throws {
        let (old, new) = (authority.issue("old"), authority.issue("new"))
        try writeTrust()
        for (version, pair) in [("..1", old), ("..2", new)] {
            server.makeDirectory(version)
            try server.write(pair.certificatePEM, to: "\(version)/tls.crt")
            try server.write(pair.keyPEM(), to: "\(version)/tls.key")
        }
        server.link("..data", to: "..1")
        server.link("tls.crt", to: "..data/tls.crt")
        server.link("tls.key", to: "..data/tls.key")
        let directory = CertificateDirectory(server.path)
        server.link("..data", to: "..2")
        guard case .bytes(let certificate) = directory.read("tls.crt"), case .bytes(let key) = directory.read("tls.key")
        else { throw TestFailure("the files are not read") }
        #expect(String(decoding: certificate, as: UTF8.self) == old.certificatePEM)
        #expect(String(decoding: key, as: UTF8.self) == old.keyPEM())
        #expect(try load().server?.leaf.commonName == "new")
    }

    // MARK: faults

    /// What is wrong with the server's directory, and the words its one sentence must hold.
    struct Fault: CustomStringConvertible, Sendable {
        let description: String
        let words: [String]
        let certificate: @Sendable (Authority) -> (certificate: String?, key: String?)
    }

    static let faults = [
        Fault(description: "no certificate", words: ["SERVER_CERT_DIR", "tls.crt and certificate not found"]) {
            (nil, $0.issue("a").keyPEM())
        },
        Fault(description: "no key", words: ["SERVER_CERT_DIR", "tls.key and certificate not found"]) {
            ($0.issue("a").certificatePEM, nil)
        },
        Fault(description: "empty certificate", words: ["/tls.crt is empty"]) { ("", $0.issue("a").keyPEM()) },
        Fault(description: "garbage certificate", words: ["/tls.crt holds no PEM certificate"]) {
            ("garbage", $0.issue("a").keyPEM())
        },
        Fault(description: "damaged certificate", words: ["certificate 1 of", "/tls.crt is damaged or cut off"]) {
            let pair = $0.issue("a")
            return (pair.certificatePEM.replacingFirst("MII", "!!!"), pair.keyPEM())
        },
        Fault(description: "damaged chain", words: ["certificate 2 of", "/tls.crt is damaged or cut off"]) {
            let pair = $0.issue("a")
            return (
                pair.certificatePEM + "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", pair.keyPEM()
            )
        },
        Fault(description: "empty key", words: ["/tls.key is empty"]) { ($0.issue("a").certificatePEM, "") },
        Fault(description: "garbage key", words: ["/tls.key", "no PEM private key"]) {
            ($0.issue("a").certificatePEM, "garbage")
        },
        Fault(description: "damaged key", words: ["/tls.key", "damaged"]) {
            ($0.issue("a").certificatePEM, "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n")
        },
        Fault(description: "encrypted key", words: ["/tls.key", "encrypted", "without a pass phrase"]) {
            let pair = $0.issue("a")
            return (pair.certificatePEM, pair.keyPEM(.encryptedPKCS8))
        },
        Fault(description: "key encrypted the old way", words: ["/tls.key", "encrypted", "without a pass phrase"]) {
            let pair = $0.issue("a")
            return (pair.certificatePEM, pair.keyPEM(.encryptedTraditional))
        },
        Fault(description: "key of another certificate", words: ["/tls.key", "does not belong", "/tls.crt"]) {
            ($0.issue("a").certificatePEM, $0.issue("b").keyPEM())
        },
        Fault(description: "expired", words: ["/tls.crt", "expired at 20", "renew"]) {
            let pair = $0.issue("a") { $0.end = -60 }
            return (pair.certificatePEM, pair.keyPEM())
        },
        Fault(description: "not yet valid", words: ["/tls.crt", "not valid before 20", "clock"]) {
            let pair = $0.issue("a") { $0.start = 3_600 }
            return (pair.certificatePEM, pair.keyPEM())
        },
        Fault(description: "for clients only", words: ["/tls.crt", "extended key usage serverAuth"]) {
            let pair = $0.issue("a") { $0.usages = [.client] }
            return (pair.certificatePEM, pair.keyPEM())
        },
        Fault(description: "chain of somebody else", words: ["certificate 2 of", "CN=Stranger", "did not issue"]) {
            let pair = $0.issue("a")
            return (pair.certificatePEM + Authority("Stranger").pair.certificatePEM, pair.keyPEM())
        },
        Fault(description: "expired intermediate", words: ["certificate 2 of", "CN=Test CA", "expired at"]) { _ in
            let old = Authority { $0.end = -60 }
            let pair = old.issue("a")
            return (pair.certificatePEM + old.pair.certificatePEM, pair.keyPEM())
        },
        Fault(description: "key too short", words: ["cannot be used", "key too small"]) {
            let pair = $0.issue("a") { $0.key = .rsa1024 }
            return (pair.certificatePEM, pair.keyPEM())
        },
    ]

    @Test(arguments: faults)
    func aFaultyPairIsOneSentenceThatNamesTheFile(_ fault: Fault) throws {
        try writeTrust()
        let text = fault.certificate(authority)
        if let certificate = text.certificate { try server.write(certificate, to: "tls.crt") }
        if let key = text.key { try server.write(key, to: "tls.key") }
        let found = problems()
        #expect(found.count == 1, "\(found)")
        let sentence = found.first ?? ""
        #expect(sentence.contains(server.path))
        for words in fault.words { #expect(sentence.contains(words), "\(sentence)") }
    }

    @Test func aClientPairMustBeForClients() throws {
        try writeTrust()
        try write(authority.issue("server"), to: server)
        try write(authority.issue("client") { $0.usages = [.server] }, to: client)
        #expect(problems().count == 1)
        #expect(problems().first?.contains("clientAuth") == true)
    }

    @Test func noTrustAnchorNamesThePlacesForOne() throws {
        try write(authority.issue("server"), to: server)
        let found = problems()
        #expect(found.count == 1)
        #expect(found.first?.contains("CA_DIR (\(ca.path))") == true)
    }

    @Test(arguments: [
        ("", "FILE is empty"), ("garbage", "FILE holds no PEM certificate"),
        (
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
            "certificate 1 of FILE is damaged or cut off"
        ),
        ("-----BEGIN CERTIFIC", "certificate 1 of FILE is damaged or cut off"),
    ])
    func aBundleWithoutCertificatesIsNotSkippedForTheNextName(_ text: String, _ sentence: String) throws {
        try write(authority.issue("server"), to: server)
        try writeTrust()
        try ca.write(text, to: "ca-bundle.pem")
        let parts = sentence.split(separator: "FILE", omittingEmptySubsequences: false)
        #expect(problems() == [parts.joined(separator: "\(ca.path)/ca-bundle.pem")])
    }

    @Test func aBundleOfWhichAllHasExpiredIsAProblemAndPartOfItIsNot() throws {
        let old = Authority("Old CA") { $0.end = -60 }
        try write(authority.issue("server"), to: server)
        try ca.write(old.pair.certificatePEM, to: "ca.crt")
        #expect(problems().count == 1)
        #expect(problems().first?.contains("every certificate of \(ca.path)/ca.crt has expired") == true)
        try ca.write(old.pair.certificatePEM + authority.pair.certificatePEM, to: "ca.crt")
        #expect(problems().isEmpty)
    }

    @Test func anAnchorThatIsValidNowIsNeeded() throws {
        let (early, old) = (Authority("Early CA") { $0.start = 3_600 }, Authority("Old CA") { $0.end = -60 })
        try write(authority.issue("server"), to: server)
        for text in [early.pair.certificatePEM, old.pair.certificatePEM + early.pair.certificatePEM] {
            try ca.write(text, to: "ca.crt")
            #expect(problems().count == 1)
            #expect(problems().first?.contains("no certificate of \(ca.path)/ca.crt is valid before 20") == true)
        }
        try ca.write(early.pair.certificatePEM + authority.pair.certificatePEM, to: "ca.crt")
        let now = Int64(time(nil))
        let survey = CertificateSurvey.take(source(), now: now)
        #expect(survey.problems.isEmpty)
        #expect(
            survey.timeWarnings(now: now).contains {
                $0.hasPrefix("CN=Early CA of \(ca.path)/ca.crt is not valid before")
            })
    }

    // MARK: what was in force and is gone

    private func source(needsServer: Bool = true, usesClient: Bool = false) -> CertificateSource {
        CertificateSource(
            CertificateDirectories(server: server.path, client: client.path, ca: ca.path), needsServer: needsServer,
            needsClient: false, usesClient: usesClient)
    }

    private func problems(after files: [CertificateSurvey.File], usesClient: Bool = false) -> [CertificateProblem] {
        CertificateSurvey.take(source(usesClient: usesClient), now: Int64(time(nil)), inForce: files).problems
    }

    @Test func aSourceOfTrustThatWasInForceMustStay() throws {
        try write(authority.issue("server"), to: server)
        try server.write(authority.pair.certificatePEM, to: "ca.crt")
        try ca.write(Authority("Second CA").pair.certificatePEM, to: "ca-bundle.pem")
        let files = try LoadedCertificates(source(), now: Int64(time(nil))).files
        #expect(problems(after: files).isEmpty)
        ca.remove("ca-bundle.pem")
        #expect(
            problems(after: files) == [
                CertificateProblem(
                    .missing,
                    "CA_DIR (\(ca.path)) had ca-bundle.pem, which is gone: put it back, or restart to do without it")
            ])
        #expect(problems().isEmpty, "at the start it is no loss")
        try ca.write(authority.pair.certificatePEM, to: "ca.crt")
        #expect(problems(after: files).isEmpty, "another file of the directory takes its place")
        server.remove("ca.crt")
        #expect(
            problems(after: files).map(\.sentence).first?.hasPrefix("SERVER_CERT_DIR (\(server.path)) had ca.crt")
                == true)
    }

    @Test func theLastTrustThatGoesIsNamedOnce() throws {
        try write(authority.issue("server"), to: server)
        try writeTrust()
        let files = try LoadedCertificates(source(), now: Int64(time(nil))).files
        ca.remove("ca.crt")
        #expect(problems(after: files).count == 1)
    }

    @Test func aClientPairThatIsUsedMustStay() throws {
        try write(authority.issue("server"), to: server)
        try write(authority.issue("client"), to: client)
        try client.write(authority.pair.certificatePEM, to: "ca.crt")
        try writeTrust()
        let files = try LoadedCertificates(source(), now: Int64(time(nil))).files
        for name in ["tls.crt", "tls.key", "ca.crt"] { client.remove(name) }
        #expect(problems(after: files).isEmpty, "nobody uses it")
        #expect(
            problems(after: files, usesClient: true).map(\.sentence) == [
                "CLIENT_CERT_DIR (\(client.path)) had tls.crt, which is gone: put it back, or restart to do without it",
                "CLIENT_CERT_DIR (\(client.path)) had ca.crt, which is gone: put it back, or restart to do without it",
            ])
    }

    @Test func oneDirectoryForAllMayHoldItsTrustUnderAnotherName() throws {
        try write(authority.issue("server"), to: server)
        try server.write(authority.pair.certificatePEM, to: "ca.crt")
        let source = CertificateSource(
            CertificateDirectories(server: server.path, client: server.path, ca: server.path), needsServer: true,
            needsClient: false)
        let now = Int64(time(nil))
        let files = try LoadedCertificates(source, now: now).files
        server.remove("ca.crt")
        try server.write(authority.pair.certificatePEM, to: "ca-bundle.pem")
        #expect(CertificateSurvey.take(source, now: now, inForce: files).problems.isEmpty)
        server.remove("ca-bundle.pem")
        #expect(!CertificateSurvey.take(source, now: now, inForce: files).problems.isEmpty)
    }

    @Test func oneDirectoryForAllMustKeepTheTrustThatIsItsOwn() throws {
        try write(authority.issue("server"), to: server)
        try server.write(authority.pair.certificatePEM, to: "issuing_ca")
        let source = CertificateSource(
            CertificateDirectories(server: server.path, client: server.path, ca: server.path), needsServer: true,
            needsClient: false)
        let now = Int64(time(nil))
        let files = try LoadedCertificates(source, now: now).files
        server.remove("issuing_ca")
        #expect(CertificateSurvey.take(source, now: now, inForce: files).problems.map(\.reason) == [.missing])
    }

    // MARK: what is no file

    @Test func aPipeInPlaceOfAFileHoldsNobodyUp() throws {
        try writeTrust()
        try write(authority.issue("server"), to: server)
        server.remove("tls.key")
        server.makePipe("tls.key")
        #expect(
            problems() == ["\(server.path)/tls.key cannot be read: it is a named pipe, and a regular file is needed"])
        guard case .bytes(let status) = SmallFile.read("/proc/self/status") else {
            throw TestFailure("the kernel's own files are not read")
        }
        #expect(!status.isEmpty)
    }

    @Test func aDirectoryInPlaceOfAFileIsNamedOnce() throws {
        try writeTrust()
        server.makeDirectory("tls.crt")
        let found = problems()
        #expect(found.count == 1, "\(found)")
        #expect(found == ["\(server.path)/tls.crt cannot be read: it is a directory, and a regular file is needed"])
    }

    @Test func aDeviceIsNotRead() throws {
        try writeTrust()
        try write(authority.issue("server"), to: server)
        server.link("tls.crt", to: "/dev/zero")
        #expect(problems().first?.contains("it is a device") == true)
    }

    @Test func aFileOfTooManyBytesIsNotReadIntoMemory() throws {
        try writeTrust()
        try write(authority.issue("server"), to: server)
        try server.write(String(repeating: " ", count: SmallFile.maximumBytes + 1), to: "tls.crt")
        #expect(problems().first?.contains("larger than") == true)
    }

    @Test func allProblemsAreToldAtOnce() throws {
        try server.write("garbage", to: "tls.crt")
        try server.write("garbage", to: "tls.key")
        try client.write("garbage", to: "ca.crt")
        #expect(problems(needsClient: true).count >= 3)
    }

    @Test func oneDirectoryForBothSidesIsNotBlamedTwice() throws {
        try writeTrust()
        try server.write(authority.issue("a").certificatePEM, to: "tls.crt")
        try server.write(authority.issue("b").keyPEM(), to: "tls.key")
        do throws(CertificateProblems) {
            _ = try LoadedCertificates(
                CertificateSource(
                    CertificateDirectories(server: server.path, client: server.path, ca: ca.path),
                    needsServer: true, needsClient: true),
                now: Int64(time(nil)))
            Issue.record("a wrong key was taken")
        } catch {
            #expect(error.sentences.count == 1, "\(error.sentences)")
        }
    }
}

extension String {
    fileprivate func replacingFirst(_ old: String, _ new: String) -> String {
        guard let range = firstRange(of: old) else { return self }
        return replacingCharacters(in: range, with: new)
    }

    private func replacingCharacters(in range: Range<Index>, with new: String) -> String {
        self[..<range.lowerBound] + new + self[range.upperBound...]
    }
}
