/// Versions of TLS that a client offers.
struct TLSVersionSet: OptionSet, Sendable {
    let rawValue: UInt8

    static let ssl3 = TLSVersionSet(rawValue: 1)
    static let v1_0 = TLSVersionSet(rawValue: 2)
    static let v1_1 = TLSVersionSet(rawValue: 4)
    static let v1_2 = TLSVersionSet(rawValue: 8)
    static let v1_3 = TLSVersionSet(rawValue: 16)

    /// Oldest first.
    var names: [String] {
        let all: [(TLSVersionSet, String)] = [
            (.ssl3, "SSLv3"), (.v1_0, "TLSv1"), (.v1_1, "TLSv1.1"), (.v1_2, "TLSv1.2"), (.v1_3, "TLSv1.3"),
        ]
        return all.filter { contains($0.0) }.map(\.1)
    }
}
