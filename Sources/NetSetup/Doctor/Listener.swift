import Files
import Addressing
import CNetfilter

/// A listening TCP socket of this network namespace, of whatever process.
struct Listener: Equatable {
    var address: IPAddress
    var port: UInt16
    var user: UInt32
    /// IP_TRANSPARENT; nil where the kernel does not say.
    var isTransparent: Bool?
    /// SO_MARK; nil without the capability NET_ADMIN.
    var mark: UInt32?

    static func all() throws(NetSetupError) -> [Listener] {
        do {
            return try list(isIPv6: false) + list(isIPv6: true)
        } catch {
            // A kernel without tcp_diag still has the older files, which say less.
            guard let old = SmallFile.text("/proc/net/tcp") else { throw error }
            return parse(old) + parse(SmallFile.text("/proc/net/tcp6") ?? "")
        }
    }

    private static func list(isIPv6: Bool) throws(NetSetupError) -> [Listener] {
        let found = unsafe try NetSetup.list("list the listening sockets", of: nf_listener()) {
            unsafe nf_listeners(isIPv6 ? 1 : 0, $0, $1)
        }
        return found.map { Listener($0) }
    }

    /// Reads /proc/net/tcp or /proc/net/tcp6.
    static func parse(_ table: String) -> [Listener] {
        table.split(separator: "\n").dropFirst().compactMap { line in
            let fields = line.split(separator: " ")
            guard fields.count > 7, fields[3] == "0A", let user = UInt32(fields[7]) else { return nil }
            let name = fields[1].split(separator: ":")
            guard name.count == 2, let port = UInt16(name[1], radix: 16) else { return nil }
            guard let address = IPAddress(kernelWords: name[0]) else { return nil }
            return Listener(address: address, port: port, user: user, isTransparent: nil, mark: nil)
        }
    }
}

extension Listener {
    fileprivate init(_ raw: nf_listener) {
        let bytes = unsafe withUnsafeBytes(of: raw.address) { unsafe Array($0) }
        let bits = bytes.reduce(UInt128(0)) { $0 << 8 | UInt128($1) }
        self.init(
            address: raw.is_ipv6 == 1 ? IPAddress(v6: bits) : IPAddress(v4: UInt32(bits >> 96)),
            port: raw.port, user: raw.user, isTransparent: raw.is_transparent < 0 ? nil : raw.is_transparent == 1,
            mark: raw.mark < 0 ? nil : UInt32(truncatingIfNeeded: raw.mark))
    }
}

extension IPAddress {
    /// One or four words in hex, each in the byte order of this machine although it holds bytes in network order.
    fileprivate init?(kernelWords text: Substring) {
        let words = stride(from: 0, to: text.count, by: 8).compactMap { start in
            UInt32(text.dropFirst(start).prefix(8), radix: 16).map(UInt32.init(bigEndian:))
        }
        switch words.count {
        case 1: self.init(v4: words[0])
        case 4: self.init(v6: words.reduce(UInt128(0)) { $0 << 32 | UInt128($1) })
        case _: return nil
        }
    }
}
