@testable import Proxy

/// One authority, a server and a client: what most tests need, with one thing changed at a time.
struct TLSScene {
    var authority = Authority()
    var server: Credentials
    var client: Credentials?
    var serverTrust: [[UInt8]]
    var clientTrust: [[UInt8]]
    var ticketKeys = TLSMaterial.makeTicketKeys()
    var serverVersion = TLSVersion.v1_2
    var verify = ServerVerification.chainOnly(sni: nil)

    init() {
        server = authority.issue("server").credentials()
        client = authority.issue("client").credentials()
        serverTrust = [authority.pair.certificate]
        clientTrust = serverTrust
    }

    var material: TLSMaterial {
        TLSMaterial(
            server: server, client: client, serverTrust: serverTrust, clientTrust: clientTrust, ticketKeys: ticketKeys)
    }

    func serverContext() throws -> TLSContext { try TLSContext.server(material, minimumVersion: serverVersion) }

    func clientContext(_ version: TLSVersion = .v1_3) throws -> TLSContext {
        let context = try TLSContext.client(material, minimumVersion: version)
        if version == .v1_2 { TLSLink.limitToVersion1_2(context) }
        return context
    }

    /// - Parameter version: exactly this one is spoken.
    func link(_ version: TLSVersion = .v1_3, resuming: TLSResumption? = nil) throws -> TLSLink {
        try TLSLink(serverContext(), clientContext(version), verify: verify, resuming: resuming)
    }
}
