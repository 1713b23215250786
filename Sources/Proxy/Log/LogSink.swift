import CLinux
import Glibc
import Logging
import Synchronization

/// Lines on their way to a descriptor. Nobody who logs ever waits for the reader.
///
/// A thread of its own writes; between it and the others lies a bounded queue. When the reader is too slow, or the
/// descriptor takes nothing, lines are dropped and counted, and a line says so when that is over.
package final class LogSink: Sendable {
    private struct Queue {
        var waiting: [UInt8] = []
        var losses = Losses()
        var isStarted = false
        var format = LogFormat.json
    }

    /// Lines that are gone, and that nobody has been told of.
    private struct Losses {
        var bySlowReader = 0
        var byFailure = 0
        var errorNumber: CInt = 0
    }

    /// A second of a busy proxy's access log, about.
    static let maximumWaitingBytes = 4 << 20
    /// How long the end of the process waits for the reader.
    package static let flushMicroseconds: Int64 = 2_000_000

    private let queue = Mutex(Queue())
    private let writer: Mutex<LineWriter>
    /// An eventfd, never closed: a sink lives as long as its process. Negative when there was none to be had.
    private let wakeUp: CInt
    private let written = Atomic<Int>(0)
    private let queued = Atomic<Int>(0)
    private let droppedEver = Atomic<Int>(0)

    /// - Parameter output: standard output, or what a test reads from; it stays the caller's.
    package init(output: CInt) {
        writer = Mutex(LineWriter(output: output))
        wakeUp = linux_blocking_eventfd()
    }

    /// Hands over whole lines.
    package func write(_ lines: [UInt8]) {
        let isStarted = queue.withLock { queue in
            guard queue.waiting.count + lines.count <= LogSink.maximumWaitingBytes else {
                let count = lines.count { $0 == 0x0a }
                queue.losses.bySlowReader += count
                droppedEver.add(count, ordering: .relaxed)
                return queue.isStarted
            }
            queue.waiting.append(contentsOf: lines)
            queued.add(lines.count, ordering: .relaxed)
            return queue.isStarted
        }
        if isStarted { _ = linux_eventfd_signal(wakeUp) } else { drain(.until(0)) }
    }

    /// Starts the thread. Before, whoever logs writes what the reader takes at once, and the rest waits: a process that
    /// only checks something, or that has yet to drop its privileges, has no thread.
    ///
    /// - Parameter format: of the lines that the sink writes itself.
    package func start(format: LogFormat = .json) {
        guard wakeUp >= 0 else { return }
        queue.withLock { queue in
            queue.isStarted = true
            queue.format = format
        }
        do throws(SystemError) {
            _ = try Thread("log") { [self] in
                repeat { drain(.endless) } while linux_eventfd_clear(wakeUp) >= 0
            }
        } catch {
            queue.withLock { $0.isStarted = false }
        }
    }

    /// Waits until everything is written, or the limit has passed.
    package func flush() {
        let end = linux_monotonic_microseconds() + LogSink.flushMicroseconds
        guard queue.withLock({ $0.isStarted }) else { return drain(.until(end)) }
        while written.load(ordering: .acquiring) < queued.load(ordering: .relaxed), linux_monotonic_microseconds() < end
        {
            usleep(5_000)
        }
    }

    /// Lines that a slow reader, or a descriptor that could not be written to, has cost since the start.
    var droppedLines: Int { droppedEver.load(ordering: .relaxed) }

    private func drain(_ patience: LineWriter.Patience) {
        writer.withLock { writer in
            let (batch, losses, format) = queue.withLock { queue in
                let taken = (queue.waiting, queue.losses, queue.format)
                queue.waiting = []
                queue.losses = Losses()
                return taken
            }
            let outcome = writer.write(batch, patience)
            droppedEver.add(outcome.lost, ordering: .relaxed)
            var untold = losses
            untold.byFailure += outcome.lost
            if outcome.lost > 0 { untold.errorNumber = outcome.errorNumber }
            // Now or, while nothing can be written, later.
            if outcome.left.isEmpty, outcome.lost == 0 { untold = tell(untold, &writer, patience, format) }
            queue.withLock { queue in
                queue.waiting = outcome.left + queue.waiting
                queue.losses.bySlowReader += untold.bySlowReader
                queue.losses.byFailure += untold.byFailure
                queue.losses.errorNumber = untold.errorNumber
            }
            // Last: who waits for the lines waits for what is said of their losses too.
            written.add(batch.count - outcome.left.count, ordering: .releasing)
        }
    }

    /// Says what was lost; answers what could not be said.
    private func tell(
        _ losses: Losses, _ writer: inout LineWriter, _ patience: LineWriter.Patience, _ format: LogFormat
    ) -> Losses {
        var untold = losses
        if untold.bySlowReader > 0, tell(losses.bySlowReader, "the reader was too slow", &writer, patience, format) {
            untold.bySlowReader = 0
        }
        let why = unsafe strerror(losses.errorNumber).map { unsafe String(cString: $0) } ?? ""
        if untold.byFailure > 0, tell(losses.byFailure, "they could not be written: \(why)", &writer, patience, format)
        {
            untold.byFailure = 0
        }
        return untold
    }

    /// False when it could not be said.
    private func tell(
        _ lines: Int, _ reason: String, _ writer: inout LineWriter, _ patience: LineWriter.Patience, _ format: LogFormat
    ) -> Bool {
        let line = SinkLogHandler.line(.warning, "log lines dropped: \(reason)", [("lines", "\(lines)")], format)
        let outcome = writer.write(line, patience)
        guard outcome.lost == 0 else { return false }
        guard !outcome.left.isEmpty else { return true }
        queue.withLock { $0.waiting = outcome.left + $0.waiting }
        queued.add(outcome.left.count, ordering: .relaxed)
        return true
    }
}
