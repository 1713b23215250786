/// What is different between two materials, as values and in words.
struct MaterialChange: Equatable {
    enum Pair: Equatable {
        case unchanged
        case added(CertificateSummary)
        case removed(CertificateSummary)
        case replaced(CertificateSummary, by: CertificateSummary)
        /// The same leaf with another chain.
        case chain(CertificateSummary)
    }

    struct Trust: Equatable {
        let added: [CertificateSummary]
        let removed: [CertificateSummary]

        var isEmpty: Bool { added.isEmpty && removed.isEmpty }
    }

    let server: Pair
    let client: Pair
    /// The anchors that verify clients.
    let serverTrust: Trust
    /// The anchors that verify servers.
    let clientTrust: Trust

    init(from old: TLSMaterial, to new: TLSMaterial) {
        server = MaterialChange.pair(old.server, new.server)
        client = MaterialChange.pair(old.client, new.client)
        serverTrust = MaterialChange.trust(old.serverTrust, new.serverTrust)
        clientTrust = MaterialChange.trust(old.clientTrust, new.clientTrust)
    }

    var isEmpty: Bool { !changesServerSide && !changesClientSide }
    /// What inbound handshakes use is different.
    var changesServerSide: Bool { server != .unchanged || !serverTrust.isEmpty }
    /// What outbound handshakes use is different.
    var changesClientSide: Bool { client != .unchanged || !clientTrust.isEmpty }

    private static func pair(_ old: Credentials?, _ new: Credentials?) -> Pair {
        switch (old, new) {
        case (nil, nil): .unchanged
        case (nil, let new?): .added(new.leaf)
        case (let old?, nil): .removed(old.leaf)
        case (let old?, let new?):
            old == new
                ? .unchanged : old.chain.first == new.chain.first ? .chain(new.leaf) : .replaced(old.leaf, by: new.leaf)
        }
    }

    private static func trust(_ old: [[UInt8]], _ new: [[UInt8]]) -> Trust {
        let (before, after) = (Set(old), Set(new))
        return Trust(
            added: summaries(new.filter { !before.contains($0) }),
            removed: summaries(old.filter { !after.contains($0) }))
    }

    private static func summaries(_ anchors: [[UInt8]]) -> [CertificateSummary] {
        anchors.map { CertificateHandle(der: $0)?.summary ?? CertificateSummary() }
    }

    // MARK: in words

    /// For the log: a field for each thing that has changed.
    var fields: [(name: String, text: String)] {
        var fields: [(name: String, text: String)] = []
        if let text = MaterialChange.text(server) { fields.append(("server_certificate", text)) }
        if let text = MaterialChange.text(client) { fields.append(("client_certificate", text)) }
        for (name, anchors) in [
            ("trust_for_clients_added", serverTrust.added), ("trust_for_clients_removed", serverTrust.removed),
            ("trust_for_servers_added", clientTrust.added), ("trust_for_servers_removed", clientTrust.removed),
        ] where !anchors.isEmpty {
            fields.append((name, MaterialChange.text(anchors)))
        }
        return fields
    }

    /// A sentence for each change that is legal and seldom meant.
    var warnings: [String] {
        [("server", server), ("client", client)].compactMap { role, pair in
            guard case .replaced(let old, let new) = pair, new.notAfter < old.notAfter else { return nil }
            return
                "the new \(role) certificate expires at \(Timestamp.text(seconds: new.notAfter)), sooner than the old "
                + "one (\(Timestamp.text(seconds: old.notAfter))): an older file may have been put in place"
        }
    }

    private static func text(_ pair: Pair) -> String? {
        switch pair {
        case .unchanged: nil
        case .added(let new): "new: \(text(new))"
        case .removed(let old): "removed: \(text(old))"
        case .chain(let leaf): "other chain for \(text(leaf))"
        case .replaced(let old, let new):
            "serial \(old.serial) → \(new.serial); \(text(new))"
                + (old.names == new.names ? "" : " (before: \(names(of: old)))")
        }
    }

    private static func text(_ leaf: CertificateSummary) -> String {
        "\(leaf.subject), serial \(leaf.serial), names \(names(of: leaf)), valid until "
            + Timestamp.text(seconds: leaf.notAfter)
    }

    private static func names(of leaf: CertificateSummary) -> String {
        leaf.names.isEmpty ? "none" : leaf.names.joined(separator: " ")
    }

    /// More would make a log line of a whole bundle.
    private static let maximumNamedAnchors = 8

    private static func text(_ anchors: [CertificateSummary]) -> String {
        let named = anchors.prefix(maximumNamedAnchors).map {
            "\($0.subject) (serial \($0.serial), valid until \(Timestamp.text(seconds: $0.notAfter)))"
        }
        let rest = anchors.count - named.count
        return named.joined(separator: "; ") + (rest > 0 ? "; and \(rest) more" : "")
    }
}
