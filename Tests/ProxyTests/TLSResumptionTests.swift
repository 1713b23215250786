import Glibc
import Testing

@testable import Proxy

/// Sessions are resumed, but never past what a full handshake would accept.
struct TLSResumptionTests {
    @Test(arguments: [TLSVersion.v1_2, .v1_3])
    func theSecondConnectionResumesAndStillKnowsThePeer(_ version: TLSVersion) throws {
        let scene = TLSScene()
        let (server, client) = (try scene.serverContext(), try scene.clientContext(version))
        let first = try TLSLink(server, client, verify: scene.verify)
        #expect(first.handshake() == (.done, .done))
        let resumption = try #require(try first.resumption())
        let second = try TLSLink(server, client, verify: scene.verify, resuming: resumption)
        #expect(second.handshake() == (.done, .done))
        #expect(second.isResumed)
        #expect(second.clientIdentity?.summary.commonName == "client")
        #expect(second.serverIdentity?.summary.commonName == "server")
    }

    @Test(arguments: [TLSVersion.v1_2, .v1_3])
    func anotherWorkerWithTheSameKeysResumes(_ version: TLSVersion) throws {
        let scene = TLSScene()
        #expect(try resumes(from: scene, to: scene, version))
    }

    @Test(arguments: [TLSVersion.v1_2, .v1_3])
    func aTicketOfAnotherTrustSetIsNotResumed(_ version: TLSVersion) throws {
        let scene = TLSScene()
        var later = scene
        later.serverTrust.append(Authority("New CA").pair.certificate)
        #expect(try !resumes(from: scene, to: later, version))
    }

    @Test(arguments: [TLSVersion.v1_2, .v1_3])
    func aTicketUnderOtherKeysIsNotResumed(_ version: TLSVersion) throws {
        let scene = TLSScene()
        var later = scene
        later.ticketKeys = TLSMaterial.makeTicketKeys()
        #expect(try !resumes(from: scene, to: later, version))
    }

    @Test(arguments: [TLSVersion.v1_2, .v1_3])
    func whenTheKeysAreRenewedOldTicketsEndAndNewOnesServe(_ version: TLSVersion) throws {
        let scene = TLSScene()
        let (server, client) = (try scene.serverContext(), try scene.clientContext(version))
        let opening = try TLSLink(server, client, verify: scene.verify)
        #expect(opening.handshake() == (.done, .done))
        let old = try #require(try opening.resumption())
        server.useTicketKeys(TLSMaterial.makeTicketKeys())
        let next = try TLSLink(server, client, verify: scene.verify, resuming: old)
        #expect(next.handshake() == (.done, .done))
        #expect(!next.isResumed)
        let new = try #require(try next.resumption())
        let last = try TLSLink(server, client, verify: scene.verify, resuming: new)
        #expect(last.handshake() == (.done, .done))
        #expect(last.isResumed)
    }

    /// The same client context throughout, so that only the server's side can be what refuses.
    private func resumes(from first: TLSScene, to second: TLSScene, _ version: TLSVersion) throws -> Bool {
        let client = try first.clientContext(version)
        let opening = try TLSLink(first.serverContext(), client, verify: first.verify)
        #expect(opening.handshake() == (.done, .done))
        let resumption = try #require(try opening.resumption())
        let next = try TLSLink(second.serverContext(), client, verify: second.verify, resuming: resumption)
        #expect(next.handshake() == (.done, .done))
        return next.isResumed
    }

    /// Freed without a goodbye, OpenSSL declares a session bad.
    @Test func aConnectionThatEndedAbruptlyLeavesItsSessionUsable() throws {
        let scene = TLSScene()
        let (server, client) = (try scene.serverContext(), try scene.clientContext())
        func openAndDrop() throws -> TLSResumption? {
            let first = try TLSLink(server, client, verify: scene.verify)
            #expect(first.handshake() == (.done, .done))
            return try first.resumption()
        }
        let resumption = try #require(try openAndDrop())
        let second = try TLSLink(server, client, verify: scene.verify, resuming: resumption)
        #expect(second.handshake() == (.done, .done))
        #expect(second.isResumed)
    }

    @Test func beforeTheTicketArrivedThereIsNothingToResume() throws {
        let scene = TLSScene()
        let client = try scene.clientContext()
        let link = try TLSLink(scene.serverContext(), client, verify: scene.verify)
        #expect(link.handshake() == (.done, .done))
        #expect(link.resumptionNow == nil)
    }

    /// Both sides of the rule: the server ignores the ticket, the client does not offer it.
    @Test(arguments: [TLSVersion.v1_2, .v1_3])
    func aSessionDiesWithTheCertificateThatOpenedIt(_ version: TLSVersion) async throws {
        var scene = TLSScene()
        scene.client = scene.authority.issue("brief") { $0.end = 2 }.credentials()
        let end = try #require(scene.client).leaf.notAfter
        let (server, client) = (try scene.serverContext(), try scene.clientContext(version))
        let first = try TLSLink(server, client, verify: scene.verify)
        #expect(first.handshake() == (.done, .done))
        let resumption = try #require(try first.resumption())
        while time(nil) <= end { try await Task.sleep(for: .milliseconds(50)) }
        let second = try TLSLink(server, client, verify: scene.verify, resuming: resumption)
        #expect(second.handshake().server == .refused(.expired))
        #expect(!second.isResumed)
    }

    @Test func aClientDoesNotOfferTheSessionOfAServerThatExpired() async throws {
        var scene = TLSScene()
        scene.server = scene.authority.issue("brief") { $0.end = 2 }.credentials()
        let client = try scene.clientContext()
        let first = try TLSLink(scene.serverContext(), client, verify: scene.verify)
        #expect(first.handshake() == (.done, .done))
        let resumption = try #require(try first.resumption())
        while time(nil) <= scene.server.leaf.notAfter { try await Task.sleep(for: .milliseconds(50)) }
        let second = try TLSLink(scene.serverContext(), client, verify: scene.verify, resuming: resumption)
        #expect(second.handshake().client == .refused(.expired))
    }
}
