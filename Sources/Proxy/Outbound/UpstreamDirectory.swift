import Addressing

/// The upstream pools of one worker, by destination.
final class UpstreamDirectory {
    private struct Key: Hashable {
        let endpoint: Endpoint
        /// The name that the server must prove, in lower case; empty toward the application.
        let name: String
    }

    private unowned let worker: Worker
    private var explicitPool: UpstreamPool?
    private var applicationPools: [Endpoint: UpstreamPool] = [:]
    private var peerPools: [Key: UpstreamPool] = [:]
    private var forwardPools: [ForwardDestination: UpstreamPool] = [:]

    init(_ worker: Worker) { self.worker = worker }

    // MARK: inbound

    /// UPSTREAM_URL, nil until its name has been resolved.
    var explicit: UpstreamPool? { explicitPool }

    /// Publishes the addresses of UPSTREAM_URL.
    func setExplicit(_ endpoints: [Endpoint]) {
        explicitPool?.closeIdle()
        explicitPool = nil
        guard !endpoints.isEmpty else { return }
        var target = ConnectTarget(
            endpoints: endpoints, timeouts: worker.timeouts.connecting, direction: .inbound)
        target.options.mark = worker.proxyMark
        let upstream = worker.configuration.inbound.upstream
        if upstream.scheme == .https, let context = worker.clientContext {
            let name = ServerName(upstream.host)
            target.tls = TLSOrigination(context: context, verification: .full(name))
        }
        explicitPool = UpstreamPool(target, worker)
    }

    /// The application behind a captured destination.
    func application(_ original: Endpoint, source: IPAddress?) -> UpstreamPool {
        let target = applicationTarget(original, source: source)
        // A connection with the client's own address serves that client only.
        guard source == nil else { return UpstreamPool(target, worker) }
        if let pool = applicationPools[original] { return pool }
        let pool = UpstreamPool(target, worker)
        applicationPools[original] = pool
        return pool
    }

    /// Loopback first, since an application may listen there only; the pod's own address when it refuses.
    func applicationTarget(_ original: Endpoint, source: IPAddress?) -> ConnectTarget {
        let loopback: IPAddress = original.address.family == .v4 ? .loopbackV4 : .loopbackV6
        var endpoints = [Endpoint(loopback, original.port)]
        // Toward the pod's address a foreign source would need a route back that no rule gives.
        if source == nil { endpoints.append(original) }
        return ConnectTarget(
            endpoints: endpoints, options: .init(mark: worker.proxyMark, source: source),
            timeouts: worker.timeouts.connecting, direction: .inbound)
    }

    // MARK: outbound

    /// mTLS to a captured destination, whose server must prove `name`.
    func peer(_ endpoint: Endpoint, name: String) -> UpstreamPool? {
        let key = Key(endpoint: endpoint, name: name)
        if let pool = peerPools[key] { return pool }
        guard let target = peerTarget(endpoint, name: name) else { return nil }
        if peerPools.count >= Limits.pools { peerPools = peerPools.filter { !$0.value.isUnused } }
        let pool = UpstreamPool(target, worker)
        peerPools[key] = pool
        return pool
    }

    /// nil without a client context.
    func peerTarget(_ endpoint: Endpoint, name: String) -> ConnectTarget? {
        guard let context = worker.clientContext else { return nil }
        let server = name.isEmpty ? ServerName.address(endpoint.address) : ServerName(name)
        return ConnectTarget(
            endpoints: [endpoint], options: .init(mark: worker.proxyMark), tls: origination(context, to: server),
            timeouts: worker.timeouts.connecting)
    }

    /// mTLS to where a request to the forward proxy wants to go; nil without a client context.
    func forward(_ destination: ForwardDestination) -> UpstreamPool? {
        if let pool = forwardPools[destination] { return pool }
        guard let context = worker.clientContext else { return nil }
        let target = ConnectTarget(
            destination: .host(destination.host, port: destination.port, worker.names),
            options: .init(mark: worker.proxyMark), tls: origination(context, to: ServerName(destination.host)),
            timeouts: worker.timeouts.connecting, isOwnPort: worker.isOwnPort(destination.port))
        if forwardPools.count >= Limits.pools { forwardPools = forwardPools.filter { !$0.value.isUnused } }
        let pool = UpstreamPool(target, worker)
        forwardPools[destination] = pool
        return pool
    }

    private func origination(_ context: CurrentContext, to server: ServerName) -> TLSOrigination {
        let verification: ServerVerification =
            switch worker.configuration.outbound.verify {
            case .full: .full(server)
            case .sans(let globs): .sans(globs, sni: server.sni)
            case .chainOnly: .chainOnly(sni: server.sni)
            }
        return TLSOrigination(context: context, verification: verification)
    }

    /// A plain connection to a captured destination.
    func plainTarget(_ endpoint: Endpoint) -> ConnectTarget {
        ConnectTarget(
            endpoints: [endpoint], options: .init(mark: worker.proxyMark), timeouts: worker.timeouts.connecting)
    }

    /// Ends the connections made with certificates that are no longer in force: at once where nothing runs on them.
    func closeIdleTLS() {
        if let explicitPool, explicitPool.target.tls != nil { explicitPool.closeIdle() }
        for pool in peerPools.values { pool.closeIdle() }
        for pool in forwardPools.values { pool.closeIdle() }
    }

    func closeIdle() {
        explicitPool?.closeIdle()
        for pool in applicationPools.values { pool.closeIdle() }
        for pool in peerPools.values { pool.closeIdle() }
        for pool in forwardPools.values { pool.closeIdle() }
    }
}

extension ServerName {
    /// A name as it stands in a URL's authority, without port.
    init(_ host: String) {
        let bare = host.hasPrefix("[") && host.hasSuffix("]") ? String(host.dropFirst().dropLast()) : host
        self = IPAddress(bare).map(ServerName.address) ?? .dns(bare)
    }

    /// Addresses are not sent as server name (RFC 6066 section 3).
    var sni: String? {
        switch self {
        case .dns(let name): name
        case .address: nil
        }
    }
}
