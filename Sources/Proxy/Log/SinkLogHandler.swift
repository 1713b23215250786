import CLinux
package import Logging

/// swift-log's messages as lines of the log.
package struct SinkLogHandler: LogHandler {
    package var logLevel: Logger.Level
    package var metadata: Logger.Metadata = [:]
    private let sink: LogSink
    private let format: LogFormat

    package init(_ sink: LogSink, level: Logger.Level, format: LogFormat) {
        self.sink = sink
        self.format = format
        logLevel = level
    }

    package subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    package func log(event: LogEvent) {
        let fields = metadata.merging(event.metadata ?? [:]) { _, latest in latest }.sorted { $0.key < $1.key }
        sink.write(
            SinkLogHandler.line(
                event.level, event.message.description, fields.map { ($0.key, $0.value.description) }, format))
    }

    /// A whole line.
    static func line(
        _ level: Logger.Level, _ message: String, _ fields: [(String, String)], _ format: LogFormat
    ) -> [UInt8] {
        var line: [UInt8] = []
        switch format {
        case .json:
            JSONText.appendRaw("{\"timestamp\":\"", to: &line)
            Timestamp.append(microseconds: linux_wall_microseconds(), to: &line)
            JSONText.appendRaw("\",\"level\":", to: &line)
            JSONText.append(level.rawValue, to: &line)
            JSONText.appendRaw(",\"message\":", to: &line)
            JSONText.append(message, to: &line)
            for (key, value) in fields {
                JSONText.appendRaw(",", to: &line)
                JSONText.append(key, to: &line)
                JSONText.appendRaw(":", to: &line)
                JSONText.append(value, to: &line)
            }
            JSONText.appendRaw("}\n", to: &line)
        case .text:
            PlainText.appendHead(microseconds: linux_wall_microseconds(), level.shout, to: &line)
            PlainText.appendMessage(message, to: &line)
            for (key, value) in fields { PlainText.append(key, value, to: &line) }
            line.append(0x0a)
        }
        return line
    }
}

extension Logger {
    /// A logger over a sink.
    package static func lines(
        _ sink: LogSink, level: Configuration.LogLevel, format: LogFormat = .json
    ) -> Logger {
        Logger(label: "sidecar") { _ in SinkLogHandler(sink, level: level.known, format: format) }
    }
}

extension Configuration.LogLevel {
    var known: Logger.Level {
        switch self {
        case .trace: .trace
        case .debug: .debug
        case .info: .info
        case .warning: .warning
        case .error: .error
        }
    }
}

extension Logger.Level {
    fileprivate var shout: StaticString {
        switch self {
        case .trace: "TRACE"
        case .debug: "DEBUG"
        case .info: "INFO"
        case .notice: "NOTE"
        case .warning: "WARN"
        case .error: "ERROR"
        case .critical: "FATAL"
        }
    }
}
