import Logging

extension Counters {
    /// For the log line that a process leaves behind.
    var metadata: Logger.Metadata {
        var upstreamFailures: UInt64 = 0
        for index in upstreamErrors.indices { upstreamFailures += upstreamErrors[index] }
        var serverFailures: UInt64 = 0
        for reason in TLSError.Reason.allCases { serverFailures += handshakeFailures[Counters.row(.server, reason)] }
        let (server, client) = (TLSSide.server.index, TLSSide.client.index)
        return [
            "connections": "\(connections.opened[0] + connections.opened[1])",
            "requests": "\(requests[0] + requests[1])",
            "server_handshakes": "\(handshakes[server])", "server_handshakes_resumed": "\(handshakesResumed[server])",
            "server_handshake_failures": "\(serverFailures)",
            "client_handshakes": "\(handshakes[client])", "client_handshakes_resumed": "\(handshakesResumed[client])",
            "upstream_failures": "\(upstreamFailures)", "retries": "\(retries)",
            "plaintext_refused": "\(plaintext.total.refused)", "plaintext_allowed": "\(plaintext.total.allowed)",
            "plaintext_probes": "\(plaintext.total.probes)",
            "http2_violations": "\(http2Violations)",
            "peers_expired": "\(peersExpired)", "peers_distrusted": "\(peersDistrusted)", "peers_cut": "\(peersCut)",
        ]
    }
}
