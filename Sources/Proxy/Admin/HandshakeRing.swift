import Addressing

/// The last failed handshakes.
struct HandshakeRing {
    static let capacity = 128

    private var entries: [HandshakeFailure] = []
    private var next = 0

    mutating func append(_ failure: HandshakeFailure) {
        if entries.count < HandshakeRing.capacity {
            entries.append(failure)
        } else {
            entries[next] = failure
            next = (next + 1) % HandshakeRing.capacity
        }
    }

    /// The latest first.
    var latest: [HandshakeFailure] { Array((entries[next...] + entries[..<next]).reversed()) }
}

extension HandshakeRing {
    func document() -> JSONWriter {
        var json = JSONWriter()
        json.object { json in
            json.array("handshakes") { json in
                for failure in latest { json.object { failure.write(to: &$0) } }
            }
        }
        return json
    }
}

extension HandshakeFailure {
    fileprivate func write(to json: inout JSONWriter) {
        var stamp: [UInt8] = []
        Timestamp.append(microseconds: time, to: &stamp)
        json.field("time", String(decoding: stamp, as: UTF8.self))
        json.field("direction", "\(direction.name)")
        json.field("side", "\(side.name)")
        json.field("peer", peer.description)
        json.field("server_name", serverName.map(HostName.printable))
        json.field("versions_offered", offered.names)
        json.field("reason", reason.rawValue)
        json.field("detail", detail)
        if let certificate {
            json.object("peer_certificate") { json in
                json.field("subject", certificate.subject)
                json.field("at_fault", certificate.culprit)
                json.field("issuer", certificate.issuer)
                json.field("not_before", Timestamp.text(seconds: certificate.notBefore))
                json.field("not_after", Timestamp.text(seconds: certificate.notAfter))
            }
        }
        json.field("fix", HandshakeAdvice.sentence(reason, side))
    }
}
