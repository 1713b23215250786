/// Bytes as text: comparing without making a string, and making one.
extension Span<UInt8> {
    var text: String { unsafe withUnsafeBufferPointer { unsafe String(decoding: $0, as: UTF8.self) } }

    func equals(_ other: [UInt8]) -> Bool { equals(other.span) }

    func equals(_ other: Span<UInt8>) -> Bool {
        guard count == other.count else { return false }
        for index in 0..<count where self[index] != other[index] { return false }
        return true
    }

    func equals(_ text: StaticString) -> Bool {
        guard count == text.utf8CodeUnitCount else { return false }
        let expected = unsafe text.utf8Start
        for index in 0..<count where unsafe self[index] != expected[index] { return false }
        return true
    }

    /// Compares without regard to case. `text` is in lower case.
    ///
    /// Setting bit 5 lowers letters and leaves digits and `-` alone; among the bytes of a field name no two
    /// different ones become equal by it.
    func equalsIgnoringCase(_ text: StaticString) -> Bool {
        guard count == text.utf8CodeUnitCount else { return false }
        // Mostly it is another name, and its first letter tells.
        guard unsafe count == 0 || self[0] | 0x20 == text.utf8Start.pointee else { return false }
        return startsIgnoringCase(with: text)
    }

    func startsIgnoringCase(with text: StaticString) -> Bool {
        guard count >= text.utf8CodeUnitCount else { return false }
        let expected = unsafe UnsafeBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount).span
        var index = 0
        while let word = expected.word(at: index), let own = self.word(at: index) {
            if own | 0x2020_2020_2020_2020 != word { return false }
            index += 8
        }
        while index < expected.count {
            if self[index] | 0x20 != expected[index] { return false }
            index += 1
        }
        return true
    }

    func equalsIgnoringCase(_ other: Span<UInt8>) -> Bool {
        guard count == other.count else { return false }
        for index in 0..<count where ByteClass.lower(self[index]) != ByteClass.lower(other[index]) { return false }
        return true
    }
}
