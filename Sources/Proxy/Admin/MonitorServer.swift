import Addressing
import CLinux

/// The monitor port: plain HTTP for kubelet and operators, served by the control thread.
final class MonitorServer {
    private let reactor: Reactor
    private let health: Health
    private var listeners: [Listener] = []
    private let budget = ConnectionBudget(limit: MonitorServer.maximumConnections)

    /// Connections at once; probes need one each.
    static let maximumConnections = 64
    /// A request takes this long at most, in microseconds.
    static let requestMicroseconds: Int64 = 10_000_000

    init(port: UInt16, health: Health, in reactor: Reactor) throws(FatalError) {
        self.reactor = reactor
        self.health = health
        let entry = ListenerPlan.Entry(
            endpoint: Endpoint(.anyV6, port), role: .explicitInbound, options: .init(isDualStack: true),
            variable: "MONITOR_PORT")
        guard let socket = try ListenerPlan.open(entry) else { return }
        let shared = ListeningSocket(consume socket, entry.role)
        let listener = try system { () throws(SystemError) in
            try Listener(
                shared, in: reactor, within: budget,
                accepted: { [unowned self] socket, peer in accept(socket, peer) })
        }
        listeners.append(listener)
    }

    private func accept(_ socket: consuming Descriptor, _ peer: Endpoint) {
        do throws(SystemError) {
            let channel = try Channel(accepted: socket, from: peer, in: reactor)
            channel.onClose = { [budget] in budget.giveBack() }
            channel.user = MonitorConnection(self)
            channel.setDeadline(after: MonitorServer.requestMicroseconds)
        } catch {
            budget.giveBack()  // out of descriptors: the probe fails and is repeated
        }
    }

    /// Answers one request.
    func answer(_ method: Method, _ path: String) -> MonitorAnswer {
        switch path {
        case "/live", "/ready":
            guard method == .get || method == .head else { return MonitorAnswer(405, "use GET\n") }
            if path == "/live" { return MonitorAnswer(200, "ok\n") }
            let obstacles = health.obstacles
            guard obstacles.isEmpty else { return MonitorAnswer(503, obstacles.joined(separator: "\n") + "\n") }
            return MonitorAnswer(200, "ok\n")
        case _: return MonitorAnswer(404, "no such path: try /live or /ready\n")
        }
    }
}

struct MonitorAnswer {
    let status: UInt16
    let body: String

    init(_ status: UInt16, _ body: String) {
        self.status = status
        self.body = body
    }
}

/// One connection to the monitor port: one request after the other, none with a body.
private final class MonitorConnection: ChannelUser {
    private let server: MonitorServer
    private var parser = RequestParser(limits: HTTPLimits(maxHeadBytes: MonitorConnection.maximumHeadBytes))
    private var received: [UInt8] = []

    static let maximumHeadBytes = 8_192

    init(_ server: MonitorServer) { self.server = server }

    override func channelReadable(_ channel: Channel) {
        var buffer = [UInt8](repeating: 0, count: MonitorConnection.maximumHeadBytes)
        switch channel.read(into: &buffer) {
        case .bytes(let count): received.append(contentsOf: buffer[0..<count])
        case .wouldBlock: return
        case .end, .failed: return channel.close()
        }
        serve(on: channel)
    }

    /// Answers what has come, one request after the other, as fast as the client takes the answers.
    private func serve(on channel: Channel) {
        defer { if channel.queuedBytes > 0 { channel.pauseReading() } }
        while channel.isOpen, channel.queuedBytes == 0, !received.isEmpty {
            let bytes = received
            switch parser.parse(bytes.span, resumingAt: 0) {
            case .needsMore: return
            case .failed(let error):
                return answer(MonitorAnswer(error.status, "bad request\n"), on: channel, .get, false)
            case .complete: respond(on: channel)
            }
        }
    }

    private func respond(on channel: Channel) {
        let head = parser.head
        let path = String(decoding: received[head.pathAndQuery.range].prefix { $0 != UInt8(ascii: "?") }, as: UTF8.self)
        let hasBody = head.framing != .none && head.framing != .length(0)
        let reply = hasBody ? MonitorAnswer(413, "no body is taken here\n") : server.answer(head.method, path)
        received.removeFirst(head.byteCount)
        answer(reply, on: channel, head.method, head.keepsAlive && !hasBody)
        if channel.isOpen { channel.setDeadline(after: MonitorServer.requestMicroseconds) }
    }

    private func answer(_ reply: MonitorAnswer, on channel: Channel, _ method: Method, _ keepsAlive: Bool) {
        let writer = ByteWriter()
        writer.append(
            Array(
                """
                HTTP/1.1 \(reply.status) \(reply.status == 200 ? "OK" : "Unavailable")\r
                content-type: text/plain; charset=utf-8\r
                content-length: \(reply.body.utf8.count)\r
                connection: \(keepsAlive ? "keep-alive" : "close")\r
                \r

                """.utf8))
        if method != .head { writer.append(Array(reply.body.utf8)) }
        if case .failed = writer.withSpan({ channel.write($0) }) { return channel.close() }
        if !keepsAlive { channel.closeWhenDrained(within: MonitorServer.requestMicroseconds) }
    }

    override func channelDrained(_ channel: Channel) {
        serve(on: channel)
        if channel.queuedBytes == 0 { channel.resumeReading() }
    }

    override func channelFailed(_ channel: Channel, _ error: ChannelError) { channel.close() }
    override func channelReset(_ channel: Channel) { channel.close() }
    override func channelDeadline(_ channel: Channel) { channel.close() }
}
