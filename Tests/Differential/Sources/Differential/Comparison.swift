import NIOHTTP1

/// What comparing two readings of the same bytes came to.
struct Comparison {
    /// Names of the known differences that were met.
    var met: Set<String> = []
    /// An unknown difference, in a sentence.
    var failure: String?
    /// Messages that both read whole, and in the same way.
    var agreed = 0

    var passed: Bool { failure == nil }
}

/// One input, how it is cut, and what both parsers make of it.
struct Case: Sendable {
    let side: Side
    let bytes: [UInt8]
    /// Offsets at which the bytes are cut, ascending.
    var cuts: [Int] = []

    func compare() throws -> Comparison {
        var comparison = Comparison()
        var ours = SidecarReader(side)
        var theirs = try LlhttpReader(side)
        var start = 0
        for end in cuts + [bytes.count] where end > start {
            ours.feed(bytes[start..<end])
            try theirs.feed(bytes[start..<end])
            start = end
        }
        let wasOpen = theirs.reading.isOpen
        ours.finish()
        try theirs.finish()
        precondition(theirs.reading.isOpen == wasOpen)

        comparison.compareMessages(ours, theirs.reading, self)
        if comparison.passed { try comparison.readAgain(ours, side) }
        return comparison
    }
}

extension Comparison {
    fileprivate mutating func compareMessages(_ ours: SidecarReader, _ theirs: Reading<HTTPParserError>, _ input: Case)
    {
        for (index, mine) in ours.reading.messages.enumerated() {
            guard index < theirs.messages.count else {
                return llhttpStops(theirs, "llhttp did not read message \(index)", ours, mine, input)
            }
            let other = theirs.messages[index]
            if let what = Self.unlike(mine, other) {
                let pair = Pair(ours: mine, theirs: other, input: input)
                guard let difference = Otherwise.rules.first(where: { $0.applies(pair) }) else {
                    return fail("message \(index): \(what)", mine, other)
                }
                met.insert(difference.name)
                if difference.endsComparison { return }
            }
            if mine.maySwitch || other.maySwitch { return agreed += 1 }
            guard mine.isComplete == other.isComplete else {
                return mine.isComplete
                    ? llhttpStops(theirs, "llhttp did not see the end of message \(index)", ours, mine, input)
                    : weStop(ours, "we did not see the end of message \(index)", other, input)
            }
            guard mine.isComplete else {
                if ours.reading.isOpen, theirs.isOpen, mine.body != other.body {
                    fail("the incomplete bodies differ", mine, other)
                } else if theirs.isOpen, !ours.reading.isOpen {
                    weStop(ours, "we refused a body", other, input)
                }
                return
            }
            agreed += 1
        }
        let count = ours.reading.messages.count
        guard theirs.messages.count > count else { return }
        if case .over = ours.reading.ending { return }
        weStop(ours, "we did not read message \(count)", theirs.messages[count], input)
    }

    /// How two readings of one message differ; nil where they do not.
    private static func unlike(_ mine: Message, _ other: Message) -> String? {
        if mine.start != other.start || mine.target != other.target { return "starts differ" }
        if mine.minorVersion != other.minorVersion { return "versions differ" }
        if mine.fields != other.fields { return "fields differ" }
        if mine.maySwitch || other.maySwitch { return nil }
        if mine.keepsAlive != other.keepsAlive { return "persistence differs" }
        guard mine.isComplete, other.isComplete else { return nil }
        if mine.body != other.body { return "bodies differ" }
        return mine.trailers.allSatisfy(other.trailers.contains) ? nil : "trailers differ"
    }

    /// llhttp has read what we have not: only where we are stricter, on purpose.
    private mutating func weStop(_ ours: SidecarReader, _ what: String, _ other: Message, _ input: Case) {
        guard let kind = ours.reading.refusal else { return fail(what, nil, other) }
        let rest = input.bytes[ours.offset...]
        let difference = Stricter.rules.first { $0.applies(Stop(reason: kind, message: other, rest: rest)) }
        guard let difference else { return fail("\(what): \(kind)", nil, other) }
        met.insert(difference.name)
    }

    /// We have read what llhttp has not.
    private mutating func llhttpStops(
        _ theirs: Reading<HTTPParserError>, _ what: String, _ ours: SidecarReader, _ mine: Message, _ input: Case
    ) {
        guard let reason = theirs.refusal else { return fail(what, mine, nil) }
        let difference = Laxer.rules.first { $0.applies(Stop(reason: reason, message: mine, rest: input.bytes[...])) }
        guard let difference else { return fail("\(what): \(reason)", mine, nil) }
        met.insert(difference.name)
    }

    /// What we send on must read, to llhttp, as the messages that came: one each, with the same body.
    fileprivate mutating func readAgain(_ ours: SidecarReader, _ side: Side) throws {
        var reader = try LlhttpReader(side)
        for bytes in ours.sentOn { try reader.feed(bytes[...]) }
        try reader.finish()
        for (index, mine) in ours.reading.messages.enumerated() where mine.isComplete {
            guard index < reader.reading.messages.count else {
                guard let reason = reader.reading.refusal else { return fail("what we send on is not read", mine, nil) }
                let stop = Stop(reason: reason, message: mine, rest: ours.sentOn[index][...])
                guard let difference = Laxer.rules.first(where: { $0.applies(stop) }) else {
                    return fail("what we send on is refused: \(reason)", mine, nil)
                }
                met.insert(difference.name)
                return
            }
            let sent = reader.reading.messages[index]
            guard sent.start == mine.start, sent.body == mine.body, sent.isComplete, sent.trailers == mine.trailers
            else {
                return fail("what we send on reads differently", mine, sent)
            }
            if mine.maySwitch { return }
        }
        if reader.reading.messages.count > ours.sentOn.count {
            fail("what we send on holds one message more", nil, reader.reading.messages[ours.sentOn.count])
        }
    }

    private mutating func fail(_ sentence: String, _ mine: Message?, _ other: Message?) {
        failure = sentence
        if let mine { failure? += "\n      sidecar: \(mine)" }
        if let other { failure? += "\n      llhttp:  \(other)" }
    }
}
