import Addressing

extension ConnectionDescription {
    /// The answer of `/connections`.
    static func document(_ byWorker: [Int: [ConnectionDescription]], omitted: Int) -> JSONWriter {
        var json = JSONWriter()
        json.object { json in
            json.array("connections") { json in
                for (worker, connections) in byWorker.sorted(by: { $0.key < $1.key }) {
                    for connection in connections { json.object { connection.write(worker, to: &$0) } }
                }
            }
            json.field("omitted", Int64(omitted))
        }
        return json
    }

    private func write(_ worker: Int, to json: inout JSONWriter) {
        json.field("worker", Int64(worker))
        json.field("direction", "\(direction.name)")
        json.field("side", isAccepted ? "downstream" : "upstream")
        json.field("remote", remote.description)
        json.field("state", state)
        json.field("carries", kind)
        json.field("age_seconds", ageMicroseconds / 1_000_000)
        json.field("unsent_bytes", Int64(queuedBytes))
        json.field("tls_version", tlsVersion)
        json.field("server_name", serverName.map(HostName.printable))
        json.field("peer_identity", peerIdentity)
    }
}
