import Addressing

/// Renders the access log for people: who asked whom for what, and what came of it.
struct AccessLogText {
    func append(_ record: RequestRecord, endedAt end: Int64, wallOffset: Int64, to lines: inout [UInt8]) {
        begin(record.startedAt + wallOffset, record.connection, &lines)
        word(record.text, record.method, &lines)
        lines.append(0x20)
        word(record.text, record.path, &lines)
        lines.append(0x20)
        JSONText.appendRaw(record.version.name, to: &lines)
        lines.append(0x20)
        JSONText.append(Int64(record.status), to: &lines)
        finish(
            record.flags, record.bytesReceived, record.bytesSent, end - record.startedAt, record.upstream,
            record.connection, &lines)
        JSONText.appendRaw(" authority=", to: &lines)
        word(record.text, record.authority, &lines)
        JSONText.appendRaw(" id=", to: &lines)
        word(record.text, record.requestID, &lines)
        finishLine(record.reason, &lines)
    }

    func append(_ record: borrowing ConnectionRecord, endedAt end: Int64, wallOffset: Int64, to lines: inout [UInt8]) {
        begin(record.startedAt + wallOffset, record, &lines)
        JSONText.appendRaw("TCP", to: &lines)
        finish(
            record.flags, record.bytesReceived, record.bytesSent, end - record.startedAt, record.upstream, record,
            &lines)
        finishLine(record.reason, &lines)
    }

    private func finishLine(_ reason: String?, _ lines: inout [UInt8]) {
        if let reason {
            JSONText.appendRaw(" reason=", to: &lines)
            PlainText.append(reason, to: &lines)
        }
        lines.append(0x0a)
    }

    private func begin(_ start: Int64, _ connection: borrowing ConnectionRecord, _ lines: inout [UInt8]) {
        PlainText.appendHead(microseconds: start, "INFO", to: &lines)
        JSONText.appendRaw(connection.direction.name, to: &lines)
        lines.append(0x20)
    }

    private func finish(
        _ flags: StaticString, _ received: UInt64, _ sent: UInt64, _ microseconds: Int64, _ upstream: Endpoint?,
        _ connection: borrowing ConnectionRecord, _ lines: inout [UInt8]
    ) {
        lines.append(0x20)
        JSONText.appendRaw(flags, to: &lines)
        lines.append(0x20)
        JSONText.append(microseconds / 1_000, to: &lines)
        JSONText.appendRaw("ms in=", to: &lines)
        JSONText.append(Int64(clamping: received), to: &lines)
        JSONText.appendRaw(" out=", to: &lines)
        JSONText.append(Int64(clamping: sent), to: &lines)
        JSONText.appendRaw(" from=", to: &lines)
        PlainText.append(connection.downstream.description, to: &lines)
        JSONText.appendRaw(" to=", to: &lines)
        PlainText.append(upstream.map(\.description) ?? "-", to: &lines)
        JSONText.appendRaw(" peer=", to: &lines)
        connection.peerIdentity.isEmpty
            ? JSONText.appendRaw("-", to: &lines) : PlainText.append(connection.peerIdentity.span, to: &lines)
    }

    private func word(_ buffer: [UInt8], _ range: Range<Int>, _ lines: inout [UInt8]) {
        guard !range.isEmpty else { return lines.append(0x2d) }
        PlainText.append(buffer.span.extracting(range), to: &lines)
    }
}
