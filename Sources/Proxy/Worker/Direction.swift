/// Which way a connection goes, seen from the pod.
enum Direction: UInt8, CaseIterable, Sendable {
    case inbound, outbound

    var name: StaticString {
        switch self {
        case .inbound: "inbound"
        case .outbound: "outbound"
        }
    }

    var index: Int { Int(rawValue) }
}
