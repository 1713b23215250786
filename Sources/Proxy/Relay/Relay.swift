/// Moves bytes between two connections, both ways, without looking at them.
///
/// Half-close is kept: the end of one direction is passed on and the other goes on. Each side is read only as fast
/// as the other takes it.
final class Relay: ChannelUser {
    private let worker: Worker
    private let client: Channel
    private let server: Channel
    private var upward = Pipe(highWater: Limits.queuedBytes)
    private var downward = Pipe(highWater: Limits.queuedBytes)
    /// Set while the client has been silent: its first bytes may tell another protocol after all.
    private var referee: Intake?
    private var record: ConnectionRecord
    private var isOver = false

    init(_ worker: Worker, client: Channel, server: Channel, referee: Intake? = nil, record: ConnectionRecord) {
        self.worker = worker
        self.client = client
        self.server = server
        self.referee = referee
        self.record = record
    }

    /// Starts with bytes that the client has sent already, and the server.
    func start(early bytes: [UInt8], fromServer rest: [UInt8] = []) {
        client.user = self
        server.user = self
        if !rest.isEmpty { pass(rest.span, from: server, to: client) }
        if !isOver, !bytes.isEmpty { pass(bytes.span, from: client, to: server) }
        guard !isOver else { return }
        // Bytes may wait in memory on either side, where no event would tell of them.
        for (channel, mustWait) in [(client, upward.isPaused), (server, downward.isPaused)] where !mustWait {
            channel.resumeReading()
            channel.readLater()
        }
        touch()
    }

    override func channelOpened(_ channel: Channel) {
        record.upstream = server.remote
        worker.upstreamOpened(channel)
    }

    override func channelReadable(_ channel: Channel) {
        let target = channel === client ? server : client
        var inbox = worker.takeInbox()
        defer { worker.giveBack(inbox) }
        switch channel.read(into: &inbox) {
        case .bytes(let count):
            let bytes = inbox.span.extracting(0..<count)
            if let referee, channel === client, referee.reconsiders(bytes) {
                isOver = true
                self.referee = nil
                server.abort()
                referee.takeBack(client, bytes)
                return
            }
            referee = nil
            pass(bytes, from: channel, to: target)
        case .wouldBlock: break
        case .end:
            ended(channel, target)
        case .failed(let error): failed(channel, error)
        }
    }

    override func channelDrained(_ channel: Channel) {
        touch()
        // The pipe whose target has drained, so that its source may be read again.
        if channel === server {
            perform(upward.targetDrained(), source: client, target: server)
        } else {
            perform(downward.targetDrained(), source: server, target: client)
        }
        closeIfDone()
    }

    override func channelFailed(_ channel: Channel, _ error: ChannelError) {
        if let referee, channel === server, case .handshake = error {
            isOver = true
            self.referee = nil
            server.abort()
            return referee.takeBack(client, after: error)
        }
        failed(channel, error)
    }

    override var kind: StaticString { "tcp" }
    override var connectionRecord: ConnectionRecord? { record }

    override func channelDeadline(_ channel: Channel) {
        guard channel === client else { return }
        guard !isOver else { return }
        isOver = true
        record.flags = "SI"
        client.abort()
        server.abort()
        report()
    }

    private func pass(_ bytes: Span<UInt8>, from source: Channel, to target: Channel) {
        touch()
        if source === client {
            worker.counters.sentUp(record.direction, bytes.count)
        } else {
            worker.counters.sentDown(record.direction, bytes.count)
        }
        if case .failed(let error) = target.write(bytes) { return failed(target, error) }
        let action =
            source === client
            ? upward.moved(bytes.count, waiting: target.queuedBytes)
            : downward.moved(bytes.count, waiting: target.queuedBytes)
        perform(action, source: source, target: target)
    }

    private func ended(_ source: Channel, _ target: Channel) {
        source.pauseReading()  // the end would be reported again and again
        perform(source === client ? upward.sourceDidEnd() : downward.sourceDidEnd(), source: source, target: target)
        closeIfDone()
    }

    private func perform(_ action: Pipe.Action, source: Channel, target: Channel) {
        switch action {
        case .nothing: break
        case .pauseSource: source.pauseReading()
        case .resumeSource: source.resumeReading()
        case .shutTarget: target.shutWrite()
        }
    }

    private func closeIfDone() {
        guard !isOver, upward.sourceEnded, downward.sourceEnded, client.isDrained, server.isDrained else { return }
        isOver = true
        client.close()
        server.close()
        report()
    }

    private func failed(_ channel: Channel, _ error: ChannelError) {
        guard !isOver else { return }
        isOver = true
        if channel === server {
            worker.upstreamFailed(server, error)
            worker.counters.upstreamFailed(record.direction, UpstreamErrorReason(error))
            record.note(error)
        } else {
            record.noteClientLeft(error.sentence)
        }
        for channel in [client, server] { DeliveredReset.start(on: channel, within: worker.timeouts.idle) }
        report()
    }

    private func touch() { client.setDeadline(after: worker.timeouts.idle) }

    private func report() {
        record.bytesReceived = upward.bytes
        record.bytesSent = downward.bytes
        worker.log(record)
    }
}
