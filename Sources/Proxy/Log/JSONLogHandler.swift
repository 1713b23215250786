import CLinux
package import Logging

/// swift-log's messages as JSON lines.
package struct JSONLogHandler: LogHandler {
    package var logLevel: Logger.Level
    package var metadata: Logger.Metadata = [:]
    private let sink: LogSink

    package init(_ sink: LogSink, level: Logger.Level) {
        self.sink = sink
        logLevel = level
    }

    package subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    package func log(event: LogEvent) {
        var line: [UInt8] = []
        JSONText.appendRaw("{\"timestamp\":\"", to: &line)
        Timestamp.append(microseconds: linux_wall_microseconds(), to: &line)
        JSONText.appendRaw("\",\"level\":", to: &line)
        JSONText.append(event.level.rawValue, to: &line)
        JSONText.appendRaw(",\"message\":", to: &line)
        JSONText.append(event.message.description, to: &line)
        let fields = metadata.merging(event.metadata ?? [:]) { _, latest in latest }
        for (key, value) in fields.sorted(by: { $0.key < $1.key }) {
            JSONText.appendRaw(",", to: &line)
            JSONText.append(key, to: &line)
            JSONText.appendRaw(":", to: &line)
            JSONText.append(value.description, to: &line)
        }
        JSONText.appendRaw("}\n", to: &line)
        sink.write(line)
    }
}

extension Logger {
    /// A logger over a sink, at the configured level.
    package static func json(_ sink: LogSink, level: Configuration.LogLevel) -> Logger {
        let known: Logger.Level =
            switch level {
            case .trace: .trace
            case .debug: .debug
            case .info: .info
            case .warning: .warning
            case .error: .error
            }
        return Logger(label: "sidecar") { _ in JSONLogHandler(sink, level: known) }
    }
}
