/// Where a run of bytes of one class ends: looked for eight bytes at a time (Hacker's Delight, chapter 6).
extension Span<UInt8> {
    /// The end of the token that begins at `start`, such as a field's name (RFC 9110 section 5.6.2).
    func endOfToken(from start: Int) -> Int {
        end(from: start, most: Word.alphanumerics, all: ByteClass.isToken)
    }

    /// The end of the host that begins at `start`, outside brackets (RFC 3986 section 3.2.2).
    func endOfHost(from start: Int) -> Int {
        end(from: start, most: Word.alphanumerics, all: ByteClass.isHost)
    }

    /// The end of the request target that begins at `start` (RFC 9112 section 3.2).
    func endOfTarget(from start: Int) -> Int { end(from: start, most: Word.targets, all: ByteClass.isTarget) }

    /// The end of the field value that begins at `start`, with the blanks behind it (RFC 9110 section 5.5).
    func endOfFieldValue(from start: Int) -> Int {
        end(from: start, most: Word.printable, all: ByteClass.isFieldValue)
    }

    /// Eight bytes, the first in the lowest byte; nil where there are fewer.
    func word(at offset: Int) -> UInt64? {
        guard count - offset >= MemoryLayout<UInt64>.size else { return nil }
        return UInt64(littleEndian: unsafe bytes.unsafeLoadUnaligned(fromByteOffset: offset, as: UInt64.self))
    }

    /// - Parameters:
    ///   - most: marks, in the highest bit of each byte, those that are common in the class; no others.
    ///   - all: whether a byte is in the class.
    @inline(__always)
    private func end(from start: Int, most: (UInt64) -> UInt64, all: (UInt8) -> Bool) -> Int {
        var offset = start
        while offset < count {
            if let word = word(at: offset) {
                let others = ~most(word) & Word.highBits
                offset += others.trailingZeroBitCount / 8  // 8 when there is none
                if others == 0 { continue }
            }
            guard all(self[offset]) else { break }
            offset += 1
        }
        return offset
    }
}

/// Eight bytes at once. What is asked of each byte is answered in its highest bit.
private enum Word {
    static let highBits = each(0x80)

    @inline(__always)
    private static func each(_ byte: UInt64) -> UInt64 { byte &* 0x0101_0101_0101_0101 }

    /// Letters, digits, `-` and `.`
    static func alphanumerics(_ word: UInt64) -> UInt64 {
        let seven = word & each(0x7f)
        let letters = isIn(seven | each(0x20), 0x61, 0x7a)
        let others = isIn(seven, 0x2d, 0x39) & isNot(seven, 0x2f)
        return (letters | others) & ~word
    }

    /// All but the controls and what is not ASCII.
    static func printable(_ word: UInt64) -> UInt64 { isIn(word & each(0x7f), 0x20, 0x7e) & ~word }

    /// All that is visible, but for `#`.
    static func targets(_ word: UInt64) -> UInt64 {
        let seven = word & each(0x7f)
        return isIn(seven, 0x21, 0x7e) & isNot(seven, 0x23) & ~word
    }

    @inline(__always)
    private static func isNot(_ word: UInt64, _ byte: UInt64) -> UInt64 { (word ^ each(byte)) &+ each(0x7f) }

    /// - Parameter word: has seven bits in each byte, so that no addition carries into the next.
    @inline(__always)
    private static func isIn(_ word: UInt64, _ first: UInt64, _ last: UInt64) -> UInt64 {
        (word &+ each(0x80 - first)) & ~(word &+ each(0x7f - last))
    }
}
