/// What TLS has agreed on; nothing where there is none.
extension Channel {
    var isTLS: Bool { wire?.isTLS ?? false }
    /// The trust anchor that vouched for the peer, as DER; nil when none was looked for.
    var peerAnchor: [UInt8]? { wire?.peerAnchor }
    func peerIsTrusted(by context: TLSContext) -> Bool { wire?.peerIsTrusted(by: context) ?? true }
    var isResumed: Bool { wire?.isResumed ?? false }
    var peerIdentity: PeerIdentity? { wire?.peerIdentity }
    var negotiatedProtocol: String? { wire?.negotiatedProtocol }
    var serverName: String? { wire?.serverName }
    var tlsVersion: String? { wire?.version }
    var offeredVersions: TLSVersionSet { wire?.offeredVersions ?? [] }
    /// The session to resume next time, once the peer has given one out.
    func resumption() -> TLSResumption? { wire?.resumption }
}
