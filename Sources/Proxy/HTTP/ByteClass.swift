/// Classes of bytes, as bit masks: two words a class, no table in memory.
enum ByteClass {
    /// tchar (RFC 9110 section 5.6.2).
    static func isToken(_ byte: UInt8) -> Bool { isIn(byte, 0x03ff_6cfa_0000_0000, 0x57ff_ffff_c7ff_fffe) }

    /// What a host may hold (RFC 3986 section 3.2.2) outside brackets, without the comma that would make it a list to
    /// some readers.
    static func isHost(_ byte: UInt8) -> Bool { isIn(byte, 0x2bff_6ff2_0000_0000, 0x47ff_fffe_87ff_fffe) }

    /// field-vchar, obs-text, space and tab (RFC 9110 section 5.5).
    static func isFieldValue(_ byte: UInt8) -> Bool { byte >= 0x20 && byte != 0x7f || byte == 0x09 }

    /// What a request target may hold: visible ASCII but no fragment.
    static func isTarget(_ byte: UInt8) -> Bool { byte > 0x20 && byte < 0x7f && byte != 0x23 }

    static func isBlank(_ byte: UInt8) -> Bool { byte == 0x20 || byte == 0x09 }

    static func lower(_ byte: UInt8) -> UInt8 { byte &- 0x41 < 26 ? byte | 0x20 : byte }

    private static func isIn(_ byte: UInt8, _ low: UInt64, _ high: UInt64) -> Bool {
        guard byte < 128 else { return false }
        return (byte < 64 ? low : high) >> UInt64(byte & 63) & 1 == 1
    }
}
