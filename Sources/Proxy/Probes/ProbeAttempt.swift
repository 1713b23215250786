import Addressing

/// What came of one question to the application.
enum ProbeOutcome: Equatable {
    case passed(String)
    case failed(String)

    var sentence: String {
        switch self {
        case .passed(let sentence), .failed(let sentence): sentence
        }
    }
}

/// One question to the application over a connection of its own. It is answered once, in time.
///
/// Subclasses know what to say and when the answer is good.
class ProbeAttempt: ChannelUser {
    private let tooLate: String
    private var done: ((ProbeOutcome) -> Void)?
    private var channel: Channel?
    private let limit = Deadline()
    private var reactor: Reactor?

    /// - Parameters:
    ///   - tooLate: what is said when the time has passed.
    ///   - done: hears the outcome, perhaps before `start` returns.
    init(tooLate: String, then done: @escaping (ProbeOutcome) -> Void) {
        self.tooLate = tooLate
        self.done = done
    }

    final var isOver: Bool { done == nil }

    final func start(_ target: ConnectTarget, timeout: Int64, in reactor: Reactor) {
        do throws(ChannelError) {
            let channel = try Channel(connectingTo: target, in: reactor)
            channel.user = self
            self.channel = channel
            self.reactor = reactor
            reactor.register(limit)
            limit.action = { [weak self] in self?.finish(.failed(self?.tooLate ?? "")) }
            reactor.setDeadline(limit, after: timeout)
            ask(over: channel)
        } catch {
            finish(.failed(error.sentence))
        }
    }

    /// Says what is to be said; it goes out when the connection stands.
    func ask(over channel: Channel) {}

    final func send(_ bytes: Span<UInt8>, over channel: Channel) {
        if case .failed(let error) = channel.write(bytes) { finish(.failed(error.sentence)) }
    }

    /// Takes what the application has said; nothing comes after `finish`.
    func heard(_ bytes: Span<UInt8>, over channel: Channel) {}

    /// Who answered, or was asked last.
    final var answerer: String { channel.map { "\($0.remote)" } ?? "nobody" }

    final func finish(_ outcome: ProbeOutcome) {
        guard let done = done.take() else { return }
        if limit.isRegistered { reactor?.deregister(limit) }
        channel?.close()
        channel = nil
        done(outcome)
    }

    override func channelReadable(_ channel: Channel) {
        var buffer = [UInt8](repeating: 0, count: 4_096)
        switch channel.read(into: &buffer) {
        case .bytes(let count): heard(buffer.span.extracting(0..<count), over: channel)
        case .wouldBlock: break
        case .end: finish(.failed("the connection to \(answerer) ended before the answer"))
        case .failed(let error): finish(.failed(error.sentence))
        }
    }

    override func channelFailed(_ channel: Channel, _ error: ChannelError) { finish(.failed(error.sentence)) }
    override var kind: StaticString { "probe" }
}

/// Passes when the application takes the connection.
final class TCPProbeAttempt: ProbeAttempt {
    override func channelOpened(_ channel: Channel) { finish(.passed("\(answerer) accepts connections")) }
}
