/// What is at the far end of a stream that has become a tunnel: bytes both ways, half-close kept, each side read only as
/// fast as the other takes it.
final class HTTP2Tunnel: ChannelUser {
    private let exchange: HTTP2Exchange
    private let server: Channel
    private let worker: Worker
    private var upward = Pipe(highWater: Limits.queuedBytes)
    private var downward = Pipe(highWater: Limits.queuedBytes)
    private var record: ConnectionRecord
    private var isOver = false

    init(_ exchange: HTTP2Exchange, _ server: Channel, _ worker: Worker) {
        self.exchange = exchange
        self.server = server
        self.worker = worker
        record = exchange.record.connection
        record.startedAt = worker.now
        record.plaintextPort = nil  // counted as a request already
        record.upstream = server.remote
    }

    func start(fromClient early: Span<UInt8>, fromServer rest: Span<UInt8>, clientHasEnded: Bool) {
        server.user = self
        if !rest.isEmpty { pass(rest) }
        if !early.isEmpty { send(early) }
        if clientHasEnded { streamEnded() }
        guard !isOver else { return }
        touch()
        guard !downward.isPaused else { return }
        server.resumeReading()
        server.readLater()
    }

    // MARK: from the stream

    func send(_ bytes: Span<UInt8>) {
        guard !isOver else { return }
        touch()
        worker.counters.sentUp(record.direction, bytes.count)
        if case .failed(let error) = server.write(bytes) { return finish(error) }
        if upward.moved(bytes.count, waiting: server.queuedBytes) == .nothing, !upward.isPaused {
            exchange.tunnelTookBytes()
        }
    }

    func streamEnded() {
        if !isOver, upward.sourceDidEnd() == .shutTarget { server.shutWrite() }
        finishIfDone()
    }

    /// Some of what the server sent has gone out.
    func streamMoved() {
        guard !isOver, exchange.tunnelQueue < Limits.queuedBytes / 2 else { return }
        touch()
        if downward.targetDrained() == .resumeSource { server.resumeReading() }
    }

    func streamClosed() {
        guard !isOver else { return }
        isOver = true
        if !upward.sourceEnded || !downward.sourceEnded { record.noteClientLeft("the client gave the stream up") }
        server.abort()
        report()
    }

    // MARK: from the server

    override func channelReadable(_ channel: Channel) {
        var inbox = worker.takeInbox()
        switch channel.read(into: &inbox) {
        case .bytes(let count): pass(inbox.span.extracting(0..<count))
        case .wouldBlock: break
        case .end:
            channel.pauseReading()
            if downward.sourceDidEnd() == .shutTarget { exchange.endTunnel() }
            finishIfDone()
        case .failed(let error): finish(error)
        }
        worker.giveBack(inbox)
    }

    private func pass(_ bytes: Span<UInt8>) {
        touch()
        worker.counters.sentDown(record.direction, bytes.count)
        let waiting = exchange.sendTunneled(bytes)
        if downward.moved(bytes.count, waiting: waiting) == .pauseSource { server.pauseReading() }
    }

    override func channelDrained(_ channel: Channel) {
        touch()
        if upward.targetDrained() == .resumeSource { exchange.tunnelTookBytes() }
        finishIfDone()
    }

    override func channelFailed(_ channel: Channel, _ error: ChannelError) { finish(error) }

    override func channelDeadline(_ channel: Channel) {
        record.flags = "SI"
        finish(nil)
    }

    override var kind: StaticString { "tunnel" }

    // MARK: the end

    private func touch() { server.setDeadline(after: worker.timeouts.idle) }

    private func finishIfDone() {
        guard !isOver, upward.sourceEnded, downward.sourceEnded, server.isDrained else { return }
        isOver = true
        server.close()
        report()
    }

    private func finish(_ error: ChannelError?) {
        guard !isOver else { return }
        isOver = true
        if let error {
            record.note(error)
            worker.counters.upstreamFailed(record.direction, UpstreamErrorReason(error))
        }
        server.abort()
        exchange.cutTunnel()
        report()
    }

    private func report() {
        record.bytesReceived = upward.bytes
        record.bytesSent = downward.bytes
        worker.log(record)
    }
}
