import Addressing

/// Renders the access log: one JSON object a line, its fields named as Istio names them. Appends to the worker's
/// batch; a line costs no string but the addresses.
struct AccessLogLine {
    func append(_ record: RequestRecord, endedAt end: Int64, wallOffset: Int64, to lines: inout [UInt8]) {
        begin(record.startedAt + wallOffset, record.connection.direction, &lines)
        text("method", record.text, record.method, &lines)
        text("path", record.text, record.path, &lines)
        JSONText.appendRaw(",\"protocol\":\"", to: &lines)
        JSONText.appendRaw(record.version.name, to: &lines)
        JSONText.appendRaw("\"", to: &lines)
        number(",\"response_code\":", Int64(record.status), &lines)
        finish(
            record.flags, record.bytesReceived, record.bytesSent, end - record.startedAt, record.upstream,
            record.connection, &lines)
        text("authority", record.text, record.authority, &lines)
        text("request_id", record.text, record.requestID, &lines)
        finishLine(record.reason, &lines)
    }

    func append(_ record: borrowing ConnectionRecord, endedAt end: Int64, wallOffset: Int64, to lines: inout [UInt8]) {
        begin(record.startedAt + wallOffset, record.direction, &lines)
        JSONText.appendRaw(",\"protocol\":\"TCP\",\"response_code\":0", to: &lines)
        finish(
            record.flags, record.bytesReceived, record.bytesSent, end - record.startedAt, record.upstream, record,
            &lines)
        finishLine(record.reason, &lines)
    }

    private func finishLine(_ reason: String?, _ lines: inout [UInt8]) {
        if let reason {
            JSONText.appendRaw(",\"reason\":", to: &lines)
            JSONText.append(reason, to: &lines)
        }
        JSONText.appendRaw("}\n", to: &lines)
    }

    private func begin(_ start: Int64, _ direction: Direction, _ lines: inout [UInt8]) {
        JSONText.appendRaw("{\"timestamp\":\"", to: &lines)
        Timestamp.append(microseconds: start, to: &lines)
        JSONText.appendRaw("\",\"level\":\"info\",\"message\":\"access\",\"direction\":\"", to: &lines)
        JSONText.appendRaw(direction.name, to: &lines)
        JSONText.appendRaw("\",\"start_time\":\"", to: &lines)
        Timestamp.append(microseconds: start, to: &lines)
        JSONText.appendRaw("\"", to: &lines)
    }

    private func finish(
        _ flags: StaticString, _ received: UInt64, _ sent: UInt64, _ microseconds: Int64, _ upstream: Endpoint?,
        _ connection: borrowing ConnectionRecord, _ lines: inout [UInt8]
    ) {
        JSONText.appendRaw(",\"response_flags\":\"", to: &lines)
        JSONText.appendRaw(flags, to: &lines)
        JSONText.appendRaw("\"", to: &lines)
        number(",\"bytes_received\":", Int64(clamping: received), &lines)
        number(",\"bytes_sent\":", Int64(clamping: sent), &lines)
        number(",\"duration\":", microseconds / 1_000, &lines)
        JSONText.appendRaw(",\"upstream_host\":", to: &lines)
        JSONText.append(upstream.map(\.description) ?? "-", to: &lines)
        JSONText.appendRaw(",\"downstream_remote_address\":", to: &lines)
        JSONText.append(connection.downstream.description, to: &lines)
        JSONText.appendRaw(",\"peer_identity\":", to: &lines)
        JSONText.append(connection.peerIdentity.span, to: &lines)
    }

    private func number(_ key: StaticString, _ value: Int64, _ lines: inout [UInt8]) {
        JSONText.appendRaw(key, to: &lines)
        JSONText.append(value, to: &lines)
    }

    private func text(_ key: StaticString, _ buffer: [UInt8], _ range: Range<Int>, _ lines: inout [UInt8]) {
        JSONText.appendRaw(",\"", to: &lines)
        JSONText.appendRaw(key, to: &lines)
        JSONText.appendRaw("\":", to: &lines)
        JSONText.append(buffer.span.extracting(range), to: &lines)
    }
}
