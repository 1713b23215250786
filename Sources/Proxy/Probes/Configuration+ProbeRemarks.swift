/// What is valid and yet not what was meant, a sentence each, for the log at the start.
extension Configuration {
    var probeRemarks: [String] {
        var remarks: [String] = []
        let letsIn = capture.isTransparent && inbound.plaintext == .probes
        if letsIn, appProbes.isEmpty {
            remarks.append("INBOUND_PLAINTEXT=probes lets nothing in: APP_PROBES lists no probe")
        }
        if !appProbes.isEmpty, monitor.port == nil, !letsIn {
            remarks.append("APP_PROBES cannot be asked for: MONITOR_PORT is 0")
        }
        guard letsIn else { return remarks }
        return remarks + appProbes.list.compactMap { $0.plaintextRemark }
    }
}

extension AppProbe {
    /// Why a kubelet that asks the application's port itself would not hear the truth.
    fileprivate var plaintextRemark: String? {
        switch action {
        case .http(let question) where question.isTLS:
            "APP_PROBES \(path): an HTTPS probe of a captured port fails, for the kubelet shows no certificate: "
                + "have it ask \(path) on MONITOR_PORT"
        case .tcp:
            "APP_PROBES \(path): a tcpSocket probe of a captured port passes whatever the application does, for the "
                + "kernel accepts first: have the kubelet ask \(path) on MONITOR_PORT"
        case .http, .grpc: nil
        }
    }
}
