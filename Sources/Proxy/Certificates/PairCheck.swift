import COpenSSL

/// What a pair is for: the extended key usage that its certificate must allow (RFC 5280 section 4.2.1.12).
package enum PairPurpose {
    case server, client

    var keyUsage: String {
        switch self {
        case .server: "serverAuth"
        case .client: "clientAuth"
        }
    }

    var role: CertificateSurvey.Role {
        switch self {
        case .server: .server
        case .client: .client
        }
    }

    var number: CInt {
        switch self {
        case .server: X509_PURPOSE_SSL_SERVER
        case .client: X509_PURPOSE_SSL_CLIENT
        }
    }
}

/// What a peer would find wrong with our own certificates, found before any peer does.
struct PairCheck {
    /// As messages name it.
    let file: String
    let purpose: PairPurpose
    /// Seconds since the epoch.
    let now: Int64

    /// The faults of a chain whose leaf comes first.
    func faults(in chain: [[UInt8]]) -> [CertificateProblem] {
        guard let first = chain.first, let leaf = CertificateHandle(der: first) else { return [] }
        var faults = validity(of: leaf.summary, "the certificate of \(file)")
        if !leaf.mayServe(as: purpose.number) {
            faults.append(
                CertificateProblem(
                    .wrongUsage,
                    "the certificate of \(file) lacks the extended key usage \(purpose.keyUsage): issue it with it"))
        }
        for index in chain.indices.dropFirst() {
            guard let issuer = CertificateHandle(der: chain[index]),
                let issued = CertificateHandle(der: chain[index - 1])
            else { continue }
            let subject = issuer.summary.subject
            faults += validity(of: issuer.summary, "certificate \(index + 1) of \(file) (\(subject))")
            if !issued.isIssued(by: issuer) {
                faults.append(
                    CertificateProblem(
                        .chain,
                        "certificate \(index + 1) of \(file) (\(subject)) did not issue the one before it: put the leaf "
                            + "first and its issuers after it, each the issuer of the one before"))
            }
        }
        return faults
    }

    /// A sentence for each thing that is legal and seldom meant.
    func warnings(of leaf: borrowing CertificateHandle) -> [String] {
        var warnings: [String] = []
        if leaf.isIssued(by: leaf) {
            warnings.append(
                "the certificate of \(file) is self-signed: peers accept it only if it is their trust anchor")
        }
        if leaf.summary.names.isEmpty {
            switch purpose {
            case .server:
                warnings.append(
                    "the certificate of \(file) has no subject alternative name: a client that verifies names refuses it"
                )
            case .client: break
            }
        }
        return warnings
    }

    private func validity(of summary: CertificateSummary, _ what: String) -> [CertificateProblem] {
        if summary.notAfter < now {
            let end = Timestamp.text(seconds: summary.notAfter)
            return [CertificateProblem(.expired, "\(what) expired at \(end): renew it")]
        }
        if summary.notBefore > now {
            let start = Timestamp.text(seconds: summary.notBefore)
            return [
                CertificateProblem(
                    .notYetValid,
                    "\(what) is not valid before \(start), and the clock says \(Timestamp.text(seconds: now)): set the "
                        + "clock, or wait")
            ]
        }
        return []
    }
}
