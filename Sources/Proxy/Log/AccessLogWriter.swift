/// Writes the access log in the configured format.
struct AccessLogWriter {
    private let format: LogFormat

    init(_ format: LogFormat) { self.format = format }

    func append(_ record: RequestRecord, endedAt end: Int64, wallOffset: Int64, to lines: inout [UInt8]) {
        switch format {
        case .json: AccessLogLine().append(record, endedAt: end, wallOffset: wallOffset, to: &lines)
        case .text: AccessLogText().append(record, endedAt: end, wallOffset: wallOffset, to: &lines)
        }
    }

    func append(_ record: borrowing ConnectionRecord, endedAt end: Int64, wallOffset: Int64, to lines: inout [UInt8]) {
        switch format {
        case .json: AccessLogLine().append(record, endedAt: end, wallOffset: wallOffset, to: &lines)
        case .text: AccessLogText().append(record, endedAt: end, wallOffset: wallOffset, to: &lines)
        }
    }
}
