import Addressing
import Glibc

/// What a CONNECT request opens (RFC 9110 section 9.3.6): first the connection; then, by the application's first bytes,
/// its own TLS untouched, or TLS made here with the client certificate.
///
/// Until the connection stands, the application's side belongs to the request; the server is not read before it is
/// known which of the two it is to be.
final class Tunnel: Intake {
    private let target: ConnectTarget
    private var server: Channel?
    private var request: Exchange?

    init(_ worker: Worker, _ channel: Channel, to target: ConnectTarget) {
        self.target = target
        super.init(worker, channel, .outbound)
    }

    // MARK: as a request's upstream

    /// Connects; the request hears `tunnelStands` or `upstreamFailed`, perhaps before this returns.
    func open(for request: Exchange) {
        do throws(ChannelError) {
            let server = try Channel(connectingTo: target.plain, in: worker.reactor)
            server.user = self
            server.pauseReading()
            self.server = server
            self.request = request
        } catch {
            request.upstreamFailed(.channel(error), repeat: .never)
        }
    }

    /// The application wants it no more.
    func abandon() {
        request = nil
        server.take()?.abort()
    }

    /// Where the connection goes, as soon as that is known.
    var remote: Endpoint? { server?.remote }

    /// The request has been answered: takes the application's side, with what came after the request's head.
    func begin(early bytes: [UInt8]) {
        request = nil
        record.upstream = server?.remote
        guard bytes.isEmpty else { return takeBack(channel, bytes.span) }
        awaitFirstBytes()
        channel.resumeReading()
    }

    // MARK: events

    override func channelOpened(_ channel: Channel) {
        worker.upstreamOpened(channel)
        request?.tunnelStands(self)
    }

    override func channelFailed(_ channel: Channel, _ error: ChannelError) {
        guard let request else { return broke(channel, error) }
        abandon()
        request.upstreamFailed(.channel(error), repeat: .never)
    }

    override func channelReadable(_ channel: Channel) {
        super.channelReadable(channel)
        if channel.phase == .closed { abandon() }  // the application left without a word
    }

    override func channelReset(_ channel: Channel) {
        broke(channel, .broken(SystemError(call: "recv", number: ECONNRESET)))
    }

    private func broke(_ side: Channel, _ error: ChannelError) {
        side === channel ? record.noteClientLeft(error.sentence) : record.note(error)
        worker.log(record)
        abandon()
        channel.abort()
    }

    // MARK: what it turned out to be

    /// In a tunnel anything but TLS is opaque.
    override func classify(_ bytes: Span<UInt8>) -> ProtocolSniffer.Verdict {
        bytes.isEmpty ? .undecided : bytes[0] == ProtocolSniffer.tlsHandshake ? .tls : .opaque
    }

    override func serveTLS(_ bytes: [UInt8]) {
        guard let server = server.take() else { return relay(bytes, to: target.plain, referee: nil) }
        relay(bytes, over: server, referee: nil)
    }

    override func serveOpaque(_ bytes: [UInt8], referee: Intake?) {
        let offer = Tunnel.offer(for: bytes.span)
        guard let server = server.take(), let origination = target.tls else {
            return relay(bytes, to: target, offering: offer, referee: referee)
        }
        do throws(ChannelError) {
            try server.startTLS(origination, offering: offer, timeout: target.timeouts.handshake)
            relay(bytes, over: server, referee: referee)
        } catch {
            broke(server, error)
            server.abort()
        }
    }

    /// Servers of HTTP/2 want to hear of it in the handshake (RFC 9113 section 3.2); gRPC's hang up otherwise.
    private static func offer(for bytes: Span<UInt8>) -> ProtocolOffer {
        switch ProtocolSniffer.classify(bytes) {
        case .http2: .http2
        case .http1: .http1
        case .tls, .opaque, .undecided: .nothing
        }
    }
}
