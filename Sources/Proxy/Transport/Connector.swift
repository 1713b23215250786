import Addressing
import CLinux
import Glibc

/// Makes the connection of one channel: looks its name up, dials the addresses in order until one answers.
///
/// It has a seat of its own in the reactor, which the channel takes over with the socket when that stands.
final class Connector: EventHandler {
    private let reactor: Reactor
    private let target: ConnectTarget
    private let offer: ProtocolOffer
    private var channel: Channel?
    private var socket: Descriptor?
    private var endpoints: [Endpoint] = []
    private var nextEndpoint = 0

    init(_ target: ConnectTarget, offering offer: ProtocolOffer, for channel: Channel, in reactor: Reactor) {
        self.target = target
        self.offer = offer
        self.channel = channel
        self.reactor = reactor
    }

    /// Throws what is known at once; everything else the channel hears later.
    func start() throws(ChannelError) {
        switch target.destination {
        case .endpoints(let known): endpoints = known
        case .host(let host, let port, let names):
            let found = names.addresses(of: host) { [weak self] addresses in self?.resolved(addresses) }
            guard let found else {
                reactor.register(self)
                return reactor.setDeadline(self, after: target.timeouts.connect)
            }
            endpoints = found.map { Endpoint($0, port) }
        }
        do throws(ChannelError) {
            try dialNext()
        } catch {
            cancel()
            throw error
        }
    }

    /// Lets go of everything; the channel hears no more.
    func cancel() {
        if isRegistered {
            if let raw = socket?.raw { reactor.deregister(self, raw) } else { reactor.deregister(self) }
        }
        socket = nil
        channel = nil
    }

    private func resolved(_ addresses: [IPAddress]) {
        guard channel != nil, case .host(_, let port, _) = target.destination else { return }
        endpoints = addresses.map { Endpoint($0, port) }
        goOn(after: nil)
    }

    /// Dials the next address, or gives up with what the last one said.
    private func goOn(after failure: ChannelError?) {
        if let failure, nextEndpoint == endpoints.count { return fail(failure) }
        do throws(ChannelError) {
            try dialNext()
        } catch {
            fail(error)
        }
    }

    private func dialNext() throws(ChannelError) {
        var failure = ChannelError.noAddress(target.destination.name)
        while nextEndpoint < endpoints.count {
            let endpoint = endpoints[nextEndpoint]
            nextEndpoint += 1
            channel?.willDial(endpoint)
            if target.isOwnPort, LocalAddresses.contain(endpoint.address) {
                failure = .loop(endpoint)
                continue
            }
            do throws(SystemError) {
                return try dial(endpoint)
            } catch {
                failure = .connect(error, endpoint)
            }
        }
        throw failure
    }

    private func dial(_ endpoint: Endpoint) throws(SystemError) {
        let fresh = try Socket.connect(to: endpoint, target.options)
        if !isRegistered { reactor.register(self) }
        if let old = socket?.raw { reactor.mute(old) }
        socket = nil
        try reactor.unmute(self, fresh.raw, .writable)
        socket = consume fresh
        reactor.setDeadline(self, after: target.timeouts.connect)
    }

    override func ready(_ readiness: Readiness) {
        guard let channel, let endpoint = current, let raw = socket?.raw else { return }
        let error = linux_socket_error(raw)
        guard error == 0 else { return goOn(after: .connect(SystemError(call: "connect", number: error), endpoint)) }
        guard let socket = socket.take() else { return }
        self.channel = nil
        reactor.handOver(self, to: channel)
        channel.connected(consume socket, target, offering: offer)
    }

    override func deadlineReached() {
        guard let endpoint = current else { return fail(.lookUpTimedOut(target.destination.name)) }
        goOn(after: .connectTimedOut(endpoint))
    }

    private var current: Endpoint? { nextEndpoint > 0 ? endpoints[nextEndpoint - 1] : nil }

    private func fail(_ error: ChannelError) {
        let channel = channel
        cancel()
        channel?.connectFailed(error)
    }
}
