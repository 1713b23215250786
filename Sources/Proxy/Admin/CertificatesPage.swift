import Addressing

extension TLSMaterial {
    /// Before anything is loaded.
    static var none: TLSMaterial { TLSMaterial(serverTrust: [], clientTrust: [], ticketKeys: []) }

    /// The answer of `/certs`: what is presented and trusted, never a key.
    ///
    /// - Parameter now: seconds since the epoch.
    func document(reloads: ReloadStatus, at now: Int64) -> JSONWriter {
        var json = JSONWriter()
        json.object { json in
            TLSMaterial.write(server, "server", at: now, to: &json)
            TLSMaterial.write(client, "client", at: now, to: &json)
            TLSMaterial.write(serverTrust, "verifies_clients", at: now, to: &json)
            TLSMaterial.write(clientTrust, "verifies_servers", at: now, to: &json)
            json.object("reloads") { json in
                json.field("successes", Int64(clamping: reloads.successes))
                json.field("failures", Int64(clamping: reloads.failures))
                json.field("problems", reloads.problems)
            }
        }
        return json
    }

    private static func write(_ pair: Credentials?, _ key: String, at now: Int64, to json: inout JSONWriter) {
        guard let pair else { return json.field(key, String?.none) }
        json.object(key) { json in
            pair.leaf.write(at: now, to: &json)
            write(Array(pair.chain.dropFirst()), "chain", at: now, to: &json)
        }
    }

    private static func write(_ certificates: [[UInt8]], _ key: String, at now: Int64, to json: inout JSONWriter) {
        json.array(key) { json in
            for der in certificates {
                guard let summary = CertificateHandle(der: der)?.summary else { continue }
                json.object { summary.write(at: now, to: &$0) }
            }
        }
    }
}

extension CertificateSummary {
    fileprivate func write(at now: Int64, to json: inout JSONWriter) {
        json.field("subject", subject)
        json.field("issuer", issuer)
        json.field("uri_sans", uriNames)
        json.field("dns_sans", dnsNames)
        json.field("ip_sans", addresses.map(\.description))
        json.field("serial", serial)
        json.field("sha256", sha256.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined())
        json.field("not_before", Timestamp.text(seconds: notBefore))
        json.field("not_after", Timestamp.text(seconds: notAfter))
        json.field("expires_in_seconds", notAfter - now)
    }
}
