/// Who is at the other end, as its certificate says; read once per connection.
struct PeerIdentity {
    let summary: CertificateSummary
    let der: [UInt8]

    init(_ certificate: consuming CertificateHandle) {
        summary = certificate.summary
        der = certificate.der
    }
}
