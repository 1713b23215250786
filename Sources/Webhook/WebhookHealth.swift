import Proxy

/// What keeps the webhook from answering the API server, a sentence each.
final class WebhookHealth {
    /// Seconds since the epoch; nil while no certificate is in force.
    var certificateExpiry: Int64?
    /// Why there is no certificate yet, or none newer.
    var certificateProblem: String?
    /// False while the API server would not trust the certificate.
    var isRegistered = false
    var registrationProblem: String?
    var isDraining = false

    /// - Parameter now: seconds since the epoch.
    func obstacles(at now: Int64) -> [String] {
        var obstacles: [String] = []
        if let certificateExpiry {
            if certificateExpiry <= now {
                obstacles.append("the certificate expired at \(Timestamp.text(seconds: certificateExpiry))")
            }
        } else {
            obstacles.append("no certificate is in force yet")
        }
        if !isRegistered { obstacles.append("the caBundle of the registration is not in place yet") }
        if !obstacles.isEmpty { obstacles += [certificateProblem, registrationProblem].compactMap { $0 } }
        if isDraining { obstacles.append("draining") }
        return obstacles
    }

    /// What an operator should know although reviews are answered.
    var remarks: [String] { [certificateProblem, registrationProblem].compactMap { $0 } }
}
