import Addressing
import CNetfilter
import Glibc

/// Turns a rule into the kernel's expressions. Owns the library's rule object.
@safe struct RuleEncoder: ~Copyable {
    let raw: OpaquePointer
    private var failure: CInt = 0

    init(_ rule: Rule, chain: String) throws(NetSetupError) {
        guard let raw = unsafe nf_rule_new(CapturePlan.table, chain) else { throw .system("allocate a rule", ENOMEM) }
        unsafe self.raw = raw
        for match in rule.matches { encode(match) }
        for action in rule.actions { encode(action) }
    }

    deinit { unsafe nf_rule_free(raw) }

    /// The expressions as text, to be compared with the kernel's.
    var text: String? {
        guard failure == 0 else { return nil }
        var buffer = [CChar](repeating: 0, count: 8_192)
        let count = unsafe nf_rule_text(raw, &buffer, buffer.count)
        guard count >= 0 else { return nil }
        return String(decoding: buffer.prefix(Int(count)).map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    var isComplete: Bool { failure == 0 }

    /// A name of an interface takes sixteen bytes (IFNAMSIZ).
    private static let loopback = Array("lo".utf8) + [UInt8](repeating: 0, count: 14)

    private mutating func add(_ result: CInt) { if result < 0 { failure = result } }

    private mutating func encode(_ match: Rule.Match) {
        switch match {
        case .isTCP(let isTCP):
            add(unsafe nf_load_meta(raw, NF_META_L4PROTO))
            compare([6], isEqual: isTCP)
        case .isIPv6:
            add(unsafe nf_load_meta(raw, NF_META_NFPROTO))
            compare([10])
        case .comesInOnLoopback:
            add(unsafe nf_load_meta(raw, NF_META_INPUT_NAME))
            compare(RuleEncoder.loopback)
        case .leavesByLoopback(let leaves):
            add(unsafe nf_load_meta(raw, NF_META_OUTPUT_NAME))
            compare(RuleEncoder.loopback, isEqual: leaves)
        case .mark(let mark):
            add(unsafe nf_load_meta(raw, NF_META_MARK))
            compare(mark)
        case .destinationIsLocal(let isLocal):
            add(unsafe nf_load_destination_type(raw))
            compare(native(2), isEqual: isLocal)  // RTN_LOCAL
        case .sourcePort(let ports): encode(ports, offset: 0)
        case .destinationPort(let ports): encode(ports, offset: 2)
        case .source(let block): encode(block, isSource: true)
        case .destination(let block): encode(block, isSource: false)
        case .opensConnection:
            encodeTCP()
            add(unsafe nf_load_payload(raw, 1, 13, 1))
            mask([0x12], flip: [0])
            compare([0x02])
        case .user(let user):
            add(unsafe nf_load_meta(raw, NF_META_USER))
            compare(native(user))
        case .hasTransparentSocket:
            add(unsafe nf_load_transparent_socket(raw))
            compare([1])
        case .isReply:
            add(unsafe nf_load_connection_direction(raw))
            compare([1])
        case .isNewConnection:
            add(unsafe nf_load_connection_state(raw))
            mask(native(8), flip: native(0))  // NF_CT_STATE_BIT(IP_CT_NEW)
            compare(native(0), isEqual: false)
        case .connectionMark(let mark):
            add(unsafe nf_load_connection_mark(raw))
            compare(mark)
        }
    }

    private mutating func encode(_ action: Rule.Action) {
        switch action {
        case .count: add(unsafe nf_counter(raw))
        case .accept: add(unsafe nf_verdict(raw, 1))
        case .drop: add(unsafe nf_verdict(raw, 0))
        case .redirect(let port): add(unsafe nf_redirect_transparently(raw, port))
        case .setMark(let mark):
            add(unsafe nf_load_meta(raw, NF_META_MARK))
            mask(native(~mark.mask), flip: native(mark.value))
            add(unsafe nf_set_mark(raw))
        case .setConnectionMark(let mark):
            add(unsafe nf_load_connection_mark(raw))
            mask(native(~mark.mask), flip: native(mark.value))
            add(unsafe nf_set_connection_mark(raw))
        case .goTo(let chain): add(unsafe nf_go_to(raw, chain))
        }
    }

    private mutating func encodeTCP() {
        add(unsafe nf_load_meta(raw, NF_META_L4PROTO))
        compare([6])
    }

    private mutating func encode(_ ports: ClosedRange<UInt16>, offset: UInt32) {
        encodeTCP()
        add(unsafe nf_load_payload(raw, 1, offset, 2))
        let (low, high) = (wire(ports.lowerBound), wire(ports.upperBound))
        if ports.count == 1 { compare(low) } else { add(unsafe nf_range(raw, low, high, 2)) }
    }

    private mutating func encode(_ block: CIDR, isSource: Bool) {
        let isIPv6 = block.base.family == .v6
        add(unsafe nf_load_meta(raw, NF_META_NFPROTO))
        compare([isIPv6 ? 10 : 2])
        guard block.prefixLength > 0 else { return }
        let address = block.base.bytes
        let offset: UInt32 = isIPv6 ? (isSource ? 8 : 24) : (isSource ? 12 : 16)
        add(unsafe nf_load_payload(raw, 0, offset, UInt32(address.count)))
        if block.prefixLength < block.base.bitWidth {
            let bits = (0..<address.count).map { index -> UInt8 in
                let covered = min(8, max(0, block.prefixLength - index * 8))
                return UInt8(truncatingIfNeeded: 0xff00 >> covered)
            }
            mask(bits, flip: [UInt8](repeating: 0, count: bits.count))
        }
        compare(address)
    }

    private mutating func compare(_ mark: FirewallMark) {
        if mark.mask != .max { mask(native(mark.mask), flip: native(0)) }
        compare(native(mark.value))
    }

    private mutating func compare(_ value: [UInt8], isEqual: Bool = true) {
        add(unsafe nf_compare(raw, isEqual ? 1 : 0, value, UInt32(value.count)))
    }

    private mutating func mask(_ mask: [UInt8], flip: [UInt8]) {
        add(unsafe nf_bitwise(raw, mask, flip, UInt32(mask.count)))
    }

    /// Host order, as the kernel keeps marks, users and types.
    private func native(_ word: UInt32) -> [UInt8] {
        (0..<4).map { UInt8(truncatingIfNeeded: word.littleEndian >> UInt32($0 * 8)) }
    }

    private func wire(_ port: UInt16) -> [UInt8] { [UInt8(port >> 8), UInt8(port & 0xff)] }
}
