import Testing

@testable import Proxy

/// What a reload says of itself, and what the workers do because of it.
struct MaterialChangeTests {
    private let authority = Authority()

    private func material(
        server: Credentials? = nil, client: Credentials? = nil, serverTrust: [Authority]? = nil,
        clientTrust: [Authority]? = nil
    ) -> TLSMaterial {
        let trust = { (authorities: [Authority]?) in (authorities ?? [authority]).map(\.pair.certificate) }
        return TLSMaterial(
            server: server, client: client, serverTrust: trust(serverTrust), clientTrust: trust(clientTrust),
            ticketKeys: TLSMaterial.makeTicketKeys())
    }

    private func fields(_ change: MaterialChange) -> [String: String] {
        Dictionary(change.fields.map { ($0.name, $0.text) }) { first, _ in first }
    }

    @Test func theSameMaterialIsNoChangeWhateverItsTicketKeys() {
        let pair = authority.issue("server").credentials()
        let change = MaterialChange(from: material(server: pair), to: material(server: pair))
        #expect(change.isEmpty)
        #expect(change.fields.isEmpty && change.warnings.isEmpty)
    }

    @Test func aRenewedLeafIsNamedBySerialNamesAndEnd() {
        let old = authority.issue("server") {
            $0.serial = 0xa1
            $0.dnsNames = ["old.test"]
        }
        let new = authority.issue("server") {
            $0.serial = 0xb2
            $0.dnsNames = ["new.test"]
        }
        let change = MaterialChange(
            from: material(server: old.credentials()), to: material(server: new.credentials()))
        #expect(change.changesServerSide && !change.changesClientSide)
        let end = Timestamp.text(seconds: new.credentials().leaf.notAfter)
        #expect(
            fields(change) == [
                "server_certificate":
                    "serial 0xa1 → 0xb2; CN=server, serial 0xb2, names new.test, valid until \(end) (before: old.test)"
            ])
    }

    @Test func aPairMayComeAndGo() {
        let pair = authority.issue("client").credentials()
        let added = MaterialChange(from: material(), to: material(client: pair))
        let removed = MaterialChange(from: material(client: pair), to: material())
        #expect(added.client == .added(pair.leaf) && removed.client == .removed(pair.leaf))
        #expect(added.changesClientSide && removed.changesClientSide && !added.changesServerSide)
        #expect(fields(added)["client_certificate"]?.hasPrefix("new: CN=client") == true)
        #expect(fields(removed)["client_certificate"]?.hasPrefix("removed: CN=client") == true)
    }

    @Test func anotherChainOfTheSameLeafIsAChange() {
        let issuer = authority.intermediate("Middle")
        let leaf = issuer.issue("server")
        let change = MaterialChange(
            from: material(server: leaf.credentials()), to: material(server: leaf.credentials(chain: [issuer.pair])))
        #expect(change.server == .chain(leaf.credentials().leaf))
        #expect(change.changesServerSide && change.warnings.isEmpty)
    }

    @Test func anchorsAddedAndRemovedAreNamedForEachSide() {
        let second = Authority("Second CA")
        let change = MaterialChange(
            from: material(serverTrust: [authority], clientTrust: [authority, second]),
            to: material(serverTrust: [authority, second], clientTrust: [authority]))
        #expect(change.serverTrust.added.map(\.subject) == ["CN=Second CA"] && change.serverTrust.removed.isEmpty)
        #expect(change.clientTrust.removed.map(\.subject) == ["CN=Second CA"] && change.clientTrust.added.isEmpty)
        #expect(Set(fields(change).keys) == ["trust_for_clients_added", "trust_for_servers_removed"])
        #expect(change.changesServerSide && change.changesClientSide)
    }

    @Test func aWholeBundleDoesNotFillTheLog() {
        let many = (1...11).map { Authority("CA \($0)") }
        let change = MaterialChange(from: material(), to: material(serverTrust: [authority] + many))
        #expect(change.serverTrust.added.count == 11)
        #expect(fields(change)["trust_for_clients_added"]?.hasSuffix("; and 3 more") == true)
    }

    @Test func onlyALeafThatExpiresSoonerIsWarnedOf() {
        let long = authority.issue("server") { $0.end = 90 * 86_400 }.credentials()
        let short = authority.issue("server") { $0.end = 30 * 86_400 }.credentials()
        #expect(MaterialChange(from: material(server: short), to: material(server: long)).warnings.isEmpty)
        let warnings = MaterialChange(from: material(server: long), to: material(server: short)).warnings
        #expect(warnings.count == 1)
        #expect(warnings.first?.hasPrefix("the new server certificate expires at") == true)
    }
}
