/// A GET; its answer's status tells.
final class HTTPProbeAttempt: ProbeAttempt {
    private let request: [UInt8]
    private let passing: Range<UInt16>
    private var parser = ResponseParser(limits: HTTPLimits(maxHeadBytes: HTTPProbeAttempt.maximumHeadBytes))
    private var received: [UInt8] = []
    /// Where the answer sends the asker.
    private(set) var location: String?

    static let maximumHeadBytes = 16_384

    /// - Parameter passing: the statuses that are good.
    init(_ request: [UInt8], passing: Range<UInt16>, tooLate: String, then done: @escaping (ProbeOutcome) -> Void) {
        self.request = request
        self.passing = passing
        super.init(tooLate: tooLate, then: done)
    }

    override func ask(over channel: Channel) {
        let bytes = request
        send(bytes.span, over: channel)
    }

    override func heard(_ bytes: Span<UInt8>, over channel: Channel) {
        unsafe bytes.withUnsafeBufferPointer { unsafe received.append(contentsOf: $0) }
        while !isOver {
            let head = received
            switch parser.parse(head.span, resumingAt: 0, for: .get) {
            case .needsMore: return
            case .failed(let error): return finish(.failed("\(answerer) does not answer in HTTP: \(error.sentence)"))
            case .complete: break
            }
            note(parser.head, head.span)
            judge(parser.head.status)
            received.removeFirst(parser.head.byteCount)
        }
    }

    private func note(_ head: ResponseHead, _ bytes: Span<UInt8>) {
        guard Redirect.isFollowed(head.status) else { return }
        let line = head.fields.lines.first { bytes.extracting($0.name.range).equalsIgnoringCase("location") }
        location = line.map { bytes.extracting($0.value.range).text }
    }

    /// Interim answers are passed over; a switch of protocols is none.
    private func judge(_ status: UInt16) {
        guard status >= 200 || status == 101 else { return }
        let sentence = "status \(status) from \(answerer)"
        finish(passing.contains(status) ? .passed(sentence) : .failed(sentence))
    }
}
