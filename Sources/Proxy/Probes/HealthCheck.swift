/// Messages of grpc.health.v1.Health/Check, as gRPC frames them: a byte for compression, four of length, Protocol Buffers.
enum HealthCheck {
    static let path: StaticString = "/grpc.health.v1.Health/Check"
    private static let prefixBytes = 5

    enum Status: Equatable {
        case unknown, serving, notServing, serviceUnknown
        case other(UInt64)

        var name: String {
            switch self {
            case .unknown: "UNKNOWN"
            case .serving: "SERVING"
            case .notServing: "NOT_SERVING"
            case .serviceUnknown: "SERVICE_UNKNOWN"
            case .other(let number): "status \(number)"
            }
        }
    }

    /// `HealthCheckRequest { string service = 1; }`; a field that has its default is not sent.
    static func request(_ service: String) -> [UInt8] {
        guard !service.isEmpty else { return framed([]) }
        return framed([0x0a] + varint(UInt64(service.utf8.count)) + Array(service.utf8))
    }

    /// `HealthCheckResponse { ServingStatus status = 1; }`
    static let serving: [UInt8] = framed([0x08, 0x01])

    /// The status in an answer; nil for bytes that are none.
    static func status(in bytes: [UInt8]) -> Status? {
        guard bytes.count >= prefixBytes, bytes[0] == 0 else { return nil }
        let length = bytes[1..<prefixBytes].reduce(0) { $0 << 8 | Int($1) }
        guard length == bytes.count - prefixBytes else { return nil }
        var offset = prefixBytes
        var number: UInt64 = 0
        while offset < bytes.count {
            guard let key = readVarint(bytes, &offset) else { return nil }
            switch (key >> 3, key & 7) {
            case (1, 0):
                guard let value = readVarint(bytes, &offset) else { return nil }
                number = value
            case (_, 0): guard readVarint(bytes, &offset) != nil else { return nil }
            case (_, 1): offset += 8
            case (_, 2):
                guard let count = readVarint(bytes, &offset), count <= bytes.count else { return nil }
                offset += Int(count)
            case (_, 5): offset += 4
            case _: return nil
            }
        }
        guard offset == bytes.count else { return nil }
        return switch number {
        case 0: .unknown
        case 1: .serving
        case 2: .notServing
        case 3: .serviceUnknown
        case _: .other(number)
        }
    }

    private static func framed(_ message: [UInt8]) -> [UInt8] {
        let length = UInt32(message.count)
        return [0] + stride(from: 24, through: 0, by: -8).map { UInt8(truncatingIfNeeded: length >> UInt32($0)) }
            + message
    }

    private static func varint(_ value: UInt64) -> [UInt8] {
        var bytes: [UInt8] = []
        var rest = value
        while rest > 0x7f {
            bytes.append(UInt8(rest & 0x7f) | 0x80)
            rest >>= 7
        }
        return bytes + [UInt8(rest)]
    }

    private static func readVarint(_ bytes: [UInt8], _ offset: inout Int) -> UInt64? {
        var value: UInt64 = 0
        for shift in stride(from: UInt64(0), to: 64, by: 7) {
            guard offset < bytes.count else { return nil }
            let byte = bytes[offset]
            offset += 1
            value |= UInt64(byte & 0x7f) << shift
            if byte < 0x80 { return value }
        }
        return nil
    }
}
