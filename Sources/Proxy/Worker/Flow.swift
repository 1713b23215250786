import Addressing

/// One finished request or connection on its way to `/flows`: its line of the log, and what a filter may ask for.
struct Flow: Sendable {
    let direction: Direction
    let status: UInt16
    let method: [UInt8]
    let path: [UInt8]
    let authority: [UInt8]
    let peer: String
    let peerIdentity: String
    let microseconds: Int64
    /// JSON, with its line end.
    let line: [UInt8]

    init(_ record: RequestRecord, endedAt end: Int64, wallOffset: Int64) {
        direction = record.connection.direction
        status = record.status
        method = Array(record.text[record.method])
        path = Array(record.text[record.path])
        authority = Array(record.text[record.authority])
        peer = record.connection.downstream.address.description
        peerIdentity = String(decoding: record.connection.peerIdentity, as: UTF8.self)
        microseconds = end - record.startedAt
        var line: [UInt8] = []
        AccessLogLine().append(record, endedAt: end, wallOffset: wallOffset, to: &line)
        self.line = line
    }

    init(_ record: borrowing ConnectionRecord, endedAt end: Int64, wallOffset: Int64) {
        direction = record.direction
        status = 0
        method = []
        path = []
        authority = []
        peer = record.downstream.address.description
        peerIdentity = String(decoding: record.peerIdentity, as: UTF8.self)
        microseconds = end - record.startedAt
        var line: [UInt8] = []
        AccessLogLine().append(record, endedAt: end, wallOffset: wallOffset, to: &line)
        self.line = line
    }
}
