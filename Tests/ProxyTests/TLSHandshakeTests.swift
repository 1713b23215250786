import Addressing
import Testing

@testable import Proxy

/// Who may in and who may not, and what is said about it.
struct TLSHandshakeTests {
    private let authority = Authority()

    private func material(
        server: IssuedPair? = nil, client: IssuedPair?, serverTrust: [Authority]? = nil, clientTrust: [Authority]? = nil
    ) -> TLSMaterial {
        TLSMaterial(
            server: (server ?? authority.issue("server")).credentials(), client: client?.credentials(),
            serverTrust: (serverTrust ?? [authority]).map(\.pair.certificate),
            clientTrust: (clientTrust ?? [authority]).map(\.pair.certificate), ticketKeys: TLSMaterial.makeTicketKeys())
    }

    private func link(
        _ material: TLSMaterial, version: TLSVersion = .v1_3, verify: ServerVerification = .chainOnly(sni: nil)
    ) throws -> TLSLink {
        try TLSLink(
            TLSContext.server(material, minimumVersion: version), TLSContext.client(material, minimumVersion: version),
            verify: verify)
    }

    @Test func bothSidesProveThemselves() throws {
        let client = authority.issue("caller") { $0.uriNames = ["spiffe://test/sa/caller"] }
        let link = try link(material(client: client))
        #expect(link.handshake() == (.done, .done))
        #expect(link.clientIdentity?.der == client.certificate)
        #expect(link.clientIdentity?.summary.displayName == "spiffe://test/sa/caller")
        #expect(link.serverIdentity?.summary.commonName == "server")
    }
}
