import CLinux
import Glibc

/// Writes lines to a descriptor and knows what became of them: each is written whole, or lost and counted.
///
/// A disk that is full takes a part of a line. The rest goes first when there is room again: appended to by the next
/// line, it would make both unreadable.
package struct LineWriter {
    /// How long the reader is waited for.
    package enum Patience {
        case endless
        /// By the monotonic clock, in microseconds; a time that has passed writes only what does not block.
        case until(Int64)
    }

    package struct Outcome {
        /// What the patience was not enough for; it must come again first.
        package var left: [UInt8] = []
        /// Lines that the descriptor did not take, and why: an error number.
        package var lost = 0
        package var errorNumber: CInt = 0
    }

    private let output: CInt
    /// What is left of a line that the descriptor took a part of.
    private var rest: [UInt8] = []
    /// The last byte that was taken does not end a line.
    private var isMidLine = false

    /// A pipe that is writable takes as much without blocking (POSIX's PIPE_BUF).
    private static let pieceBytes = 4_096

    package init(output: CInt) { self.output = output }

    package mutating func write(_ lines: [UInt8], _ patience: Patience) -> Outcome {
        var bytes = lines
        if !rest.isEmpty {
            bytes = rest + lines
            rest = []
        }
        var offset = 0
        while offset < bytes.count {
            switch step(bytes, offset, patience) {
            case .wrote(let count):
                offset += count
                isMidLine = bytes[offset - 1] != 0x0a
            case .tooLate: return Outcome(left: Array(bytes[offset...]))
            case .failed(let number): return Outcome(lost: giveUp(bytes, from: offset), errorNumber: number)
            }
        }
        return Outcome()
    }

    private enum Step { case wrote(Int), tooLate, failed(CInt) }

    private func step(_ bytes: [UInt8], _ offset: Int, _ patience: Patience) -> Step {
        var count = bytes.count - offset
        if case .until(let time) = patience {
            guard isWritable(until: time) else { return .tooLate }
            count = min(count, LineWriter.pieceBytes)
        }
        while true {
            let result = unsafe bytes.withUnsafeBytes {
                unsafe Glibc.write(output, $0.baseAddress?.advanced(by: offset), count)
            }
            if result > 0 { return .wrote(result) }
            switch errno {
            case EINTR: continue
            case EAGAIN:  // somebody made the descriptor non-blocking
                switch patience {
                case .endless: _ = isWritable(until: .max)
                case .until: return .tooLate
                }
            case let number: return .failed(number)
            }
        }
    }

    private func isWritable(until time: Int64) -> Bool {
        while true {
            let left = time == .max ? -1 : max(0, time - linux_monotonic_microseconds() + 999) / 1_000
            var request = pollfd(fd: output, events: Int16(POLLOUT), revents: 0)
            let count = unsafe poll(&request, 1, CInt(clamping: left))
            // A descriptor that is broken is told by writing to it.
            if count != 0, count > 0 || errno != EINTR { return true }
            if count == 0 { return false }
        }
    }

    /// Gives up all lines but the one that has begun; answers how many.
    private mutating func giveUp(_ bytes: [UInt8], from offset: Int) -> Int {
        var start = offset
        if isMidLine {
            start = bytes[offset...].firstIndex(of: 0x0a).map { $0 + 1 } ?? bytes.count
            rest = Array(bytes[offset..<start])
        }
        return bytes[start...].count { $0 == 0x0a }
    }
}
