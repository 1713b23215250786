import Addressing

/// Where calls go: one HTTPS server.
package struct CallTarget {
    /// A name or an address, without brackets.
    package let host: String
    package let port: UInt16
    private let context: TLSContext
    private let names: ServiceNames

    /// - Parameter context: what verifies the server; its certificate must be for `host`.
    package init(host: String, port: UInt16, context: TLSContext, names: ServiceNames) {
        self.host = host
        self.port = port
        self.context = context
        self.names = names
    }

    /// As the Host field has it.
    var authority: String { (host.contains(":") ? "[\(host)]" : host) + ":\(port)" }

    func connect(within microseconds: Int64) -> ConnectTarget {
        let name = IPAddress(host).map { ServerName.address($0) } ?? .dns(host)
        return ConnectTarget(
            destination: .host(host, port: port, names.client),
            tls: TLSOrigination(context: CurrentContext(context), verification: .full(name)),
            timeouts: ConnectTimeouts(connect: microseconds, handshake: microseconds))
    }
}

/// One request to a server and its answer, both held whole, over a connection of its own.
package final class HTTPCall: ChannelUser {
    package struct Request {
        package let method: String
        package let target: String
        package let fields: [(name: String, value: String)]
        package let body: [UInt8]

        package init(_ method: String, _ target: String, fields: [(name: String, value: String)], body: [UInt8] = []) {
            self.method = method
            self.target = target
            self.fields = fields
            self.body = body
        }
    }

    package struct Answer {
        package let status: UInt16
        package let body: [UInt8]
    }

    /// Why there is no answer: a sentence.
    package struct Failure: Error { package let sentence: String }

    package typealias Done = (Result<Answer, Failure>) -> Void

    private let reactor: Reactor
    private let method: Method
    private let seconds: Int
    private var parser = ResponseParser()
    private var received: [UInt8] = []
    private var decoder: BodyDecoder?
    private var body: [UInt8] = []
    private var channel: Channel?
    private let limit = Deadline()
    private var done: Done?

    /// Of an answer.
    package static let maximumBodyBytes = 8 << 20

    /// Sends a request; `done` is called once, never before this returns.
    ///
    /// - Parameter seconds: from here to the end of the answer.
    package static func start(
        _ request: Request, to target: CallTarget, seconds: Int, in reactor: Reactor, then done: @escaping Done
    ) {
        let call = HTTPCall(request.method, seconds, reactor, done)
        call.start(request, target)
    }

    /// Has something done in the reactor's next turn, or soon after.
    package static func later(in reactor: Reactor, _ action: @escaping () -> Void) {
        let moment = Deadline()
        reactor.register(moment)
        moment.action = {
            moment.action = nil
            reactor.deregister(moment)
            action()
        }
        reactor.setDeadline(moment, after: 0)
    }

    private init(_ method: String, _ seconds: Int, _ reactor: Reactor, _ done: @escaping Done) {
        self.method = Method(Array(method.utf8).span)
        self.seconds = seconds
        self.reactor = reactor
        self.done = done
    }

    private func start(_ request: Request, _ target: CallTarget) {
        reactor.register(limit)
        // Keeps the call alive until it has ended.
        limit.action = { self.finish(.failure(Failure(sentence: "no answer within \(self.seconds) s"))) }
        let microseconds = Int64(seconds) * 1_000_000
        do throws(ChannelError) {
            let channel = try Channel(connectingTo: target.connect(within: microseconds), offering: .http1, in: reactor)
            channel.user = self
            self.channel = channel
            let bytes = HTTPCall.bytes(of: request, for: target.authority)
            _ = channel.write(bytes.span)  // kept until the connection stands
            reactor.setDeadline(limit, after: microseconds)
        } catch {
            let sentence = error.sentence
            limit.action = { self.finish(.failure(Failure(sentence: sentence))) }
            reactor.setDeadline(limit, after: 0)
        }
    }

    private static func bytes(of request: Request, for authority: String) -> [UInt8] {
        var head = "\(request.method) \(request.target) HTTP/1.1\r\nhost: \(authority)\r\nconnection: close\r\n"
        for field in request.fields { head += "\(field.name): \(field.value)\r\n" }
        if !request.body.isEmpty { head += "content-length: \(request.body.count)\r\n" }
        return Array((head + "\r\n").utf8) + request.body
    }

    override func channelReadable(_ channel: Channel) {
        var buffer = [UInt8](repeating: 0, count: 16_384)
        switch channel.read(into: &buffer) {
        case .bytes(let count): received.append(contentsOf: buffer[0..<count])
        case .wouldBlock: return
        case .end: return ended()
        case .failed(let error): return finish(.failure(Failure(sentence: error.sentence)))
        }
        if decoder == nil { readHead() }
        if decoder != nil { readBody() }
    }

    private func readHead() {
        while decoder == nil {
            let bytes = received
            switch parser.parse(bytes.span, resumingAt: 0, for: method) {
            case .needsMore: return
            case .failed(let error):
                return finish(.failure(Failure(sentence: "the answer is not HTTP: \(error.sentence)")))
            case .complete: break
            }
            received.removeFirst(parser.head.byteCount)
            if parser.head.status >= 200 { decoder = BodyDecoder(parser.head.framing) }
        }
    }

    private func readBody() {
        var bytes: [UInt8] = []
        swap(&bytes, &received)
        var offset = 0
        while done != nil {
            switch decoder?.next(bytes.span, from: offset) {
            case .data(let range):
                guard body.count + range.count <= HTTPCall.maximumBodyBytes else {
                    let sentence = "the answer is larger than \(HTTPCall.maximumBodyBytes) bytes"
                    return finish(.failure(Failure(sentence: sentence)))
                }
                body.append(contentsOf: bytes[range])
                offset = range.upperBound
                if decoder?.isFinished == true { return succeed() }
            case .needsMore(let consumed):
                received = Array(bytes[consumed...])
                return
            case .end: return succeed()
            case .failed, nil: return finish(.failure(Failure(sentence: "the answer's body is not HTTP")))
            }
        }
    }

    private func ended() {
        if decoder?.endsAtClose == true { return succeed() }
        finish(.failure(Failure(sentence: "the connection ended before the answer")))
    }

    private func succeed() { finish(.success(Answer(status: parser.head.status, body: body))) }

    override func channelFailed(_ channel: Channel, _ error: ChannelError) {
        finish(.failure(Failure(sentence: error.sentence)))
    }

    private func finish(_ result: Result<Answer, Failure>) {
        guard let done = done.take() else { return }
        limit.action = nil
        reactor.deregister(limit)
        channel?.close()
        channel = nil
        done(result)
    }
}
