import CLinux
import Glibc
import Logging
import Synchronization

/// Lines on their way to a descriptor. Nobody who logs ever waits for the reader.
///
/// A thread of its own writes; between it and the others lies a bounded queue. When the reader is too slow, whole
/// batches of lines are dropped and counted, and a line says so when it is back.
package final class LogSink: Sendable {
    private struct Queue {
        var waiting: [UInt8] = []
        var dropped = 0
        var isStarted = false
        var format = LogFormat.json
    }

    /// A second of a busy proxy's access log, about.
    static let maximumWaitingBytes = 4 << 20
    /// How long the end of the process waits for the reader, in milliseconds.
    static let flushMilliseconds = 2_000

    private let queue = Mutex(Queue())
    /// An eventfd, never closed: a sink lives as long as its process. Negative when there was none to be had.
    private let wakeUp: CInt
    private let output: CInt
    private let written = Atomic<Int>(0)
    private let queued = Atomic<Int>(0)
    private let droppedEver = Atomic<Int>(0)

    /// - Parameter output: standard output, or what a test reads from; it stays the caller's.
    package init(output: CInt) {
        self.output = output
        wakeUp = linux_blocking_eventfd()
    }

    /// Hands over whole lines.
    package func write(_ lines: [UInt8]) {
        let isStarted = queue.withLock { queue in
            guard queue.waiting.count + lines.count <= LogSink.maximumWaitingBytes else {
                let count = lines.count { $0 == 0x0a }
                queue.dropped += count
                droppedEver.add(count, ordering: .relaxed)
                return queue.isStarted
            }
            queue.waiting.append(contentsOf: lines)
            queued.add(lines.count, ordering: .relaxed)
            return queue.isStarted
        }
        if isStarted { _ = linux_eventfd_signal(wakeUp) } else { drainOnce() }
    }

    /// Starts the thread. Before, lines are written by whoever logs: a process that only checks something, or that has
    /// yet to drop its privileges, has no thread.
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
                while linux_eventfd_clear(wakeUp) >= 0 {
                    drainOnce()
                }
            }
        } catch {
            queue.withLock { $0.isStarted = false }
        }
    }

    /// Waits until everything is written, or the limit has passed.
    package func flush() {
        for _ in 0..<LogSink.flushMilliseconds / 5 {
            guard written.load(ordering: .acquiring) < queued.load(ordering: .relaxed) else { return }
            usleep(5_000)
        }
    }

    /// Lines that a slow reader has cost since the start.
    var droppedLines: Int { droppedEver.load(ordering: .relaxed) }

    private func drainOnce() {
        let (batch, dropped, format) = queue.withLock { queue in
            let taken = (queue.waiting, queue.dropped, queue.format)
            queue.waiting = []
            queue.dropped = 0
            return taken
        }
        writeAll(batch)
        written.add(batch.count, ordering: .releasing)
        guard dropped > 0 else { return }
        writeAll(
            SinkLogHandler.line(
                .warning, "log lines dropped: the reader was too slow", [("lines", "\(dropped)")], format))
    }

    private func writeAll(_ bytes: [UInt8]) {
        var offset = 0
        while offset < bytes.count {
            let count = unsafe bytes.withUnsafeBytes {
                unsafe Glibc.write(output, $0.baseAddress?.advanced(by: offset), $0.count - offset)
            }
            if count > 0 {
                offset += count
            } else if errno == EAGAIN {
                usleep(1_000)  // somebody made the descriptor non-blocking
            } else if errno != EINTR {
                return  // the reader is gone for good
            }
        }
    }
}
