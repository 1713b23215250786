/// Points in time as ISO 8601 text in UTC.
package enum Timestamp {
    /// `2026-01-31T23:59:59Z`
    package static func text(seconds: Int64) -> String {
        var bytes: [UInt8] = []
        append(seconds: seconds, to: &bytes)
        bytes.append(UInt8(ascii: "Z"))
        return String(decoding: bytes, as: UTF8.self)
    }

    /// `2026-01-31T23:59:59.123Z`
    static func append(microseconds: Int64, to line: inout [UInt8]) {
        append(seconds: microseconds / 1_000_000, to: &line)
        line.append(UInt8(ascii: "."))
        digits(microseconds / 1_000 % 1_000, 3, &line)
        line.append(UInt8(ascii: "Z"))
    }

    private static func append(seconds: Int64, to line: inout [UInt8]) {
        // Days to a civil date, with eras of 400 years that begin on the first of March.
        let days = seconds / 86_400
        let shifted = days + 719_468
        let era = shifted / 146_097
        let dayOfEra = shifted - era * 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1_460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let shiftedMonth = (5 * dayOfYear + 2) / 153
        let day = dayOfYear - (153 * shiftedMonth + 2) / 5 + 1
        let month = shiftedMonth < 10 ? shiftedMonth + 3 : shiftedMonth - 9
        let year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
        let second = seconds % 86_400
        digits(year, 4, &line)
        line.append(UInt8(ascii: "-"))
        digits(month, 2, &line)
        line.append(UInt8(ascii: "-"))
        digits(day, 2, &line)
        line.append(UInt8(ascii: "T"))
        digits(second / 3_600, 2, &line)
        line.append(UInt8(ascii: ":"))
        digits(second / 60 % 60, 2, &line)
        line.append(UInt8(ascii: ":"))
        digits(second % 60, 2, &line)
    }

    private static func digits(_ value: Int64, _ count: Int, _ line: inout [UInt8]) {
        var divisor: Int64 = 1
        for _ in 1..<count { divisor *= 10 }
        while divisor > 0 {
            line.append(UInt8(truncatingIfNeeded: value / divisor % 10) + 0x30)
            divisor /= 10
        }
    }
}
