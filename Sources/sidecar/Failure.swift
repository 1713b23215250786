import ArgumentParser
import Glibc
import Logging
import Proxy

/// How a command ends that could not do its work: a sentence for people on standard error, a line for machines in
/// the log, an exit code for callers.
enum Failure {
    static func report(_ error: FatalError, _ logger: Logger, _ sink: LogSink) -> ExitCode {
        for sentence in error.sentences {
            StandardError.write("sidecar: \(sentence)\n")
            logger.critical("\(sentence)")
        }
        sink.flush()
        return ExitCode(error.exitCode.rawValue)
    }
}

/// A command that logs to standard output as the environment says: from reading that to the exit code.
enum LoggedRun {
    static func run(_ work: (Configuration, Logger, LogSink) throws(FatalError) -> Void) throws {
        let sink = LogSink(output: STDOUT_FILENO)
        var logger = Logger.lines(sink, level: .info, format: Environment.logFormat)
        do throws(FatalError) {
            let configuration = try Environment.configuration()
            logger = Logger.lines(sink, level: configuration.log.level, format: configuration.log.format)
            try work(configuration, logger, sink)
        } catch {
            throw Failure.report(error, logger, sink)
        }
    }
}

/// The environment as a configuration, or the end.
enum Environment {
    /// What LOG_FORMAT says for itself, for what is logged of the other variables.
    static var logFormat: LogFormat { variables["LOG_FORMAT"].flatMap { LogFormat(rawValue: $0) } ?? .json }

    static func configuration() throws(FatalError) -> Configuration {
        do throws(ConfigurationProblems) {
            return try Configuration.parse(variables, usableCPUs: UsableCPUs.count())
        } catch {
            throw FatalError(error.sentences)
        }
    }

    /// As it was set for this program, without what Kubernetes says of Services.
    static var variables: [String: String] {
        var variables: [String: String] = [:]
        var next = unsafe environ
        while let entry = unsafe next.pointee {
            let text = unsafe String(cString: entry)
            if let equals = text.firstIndex(of: "=") {
                variables[String(text[..<equals])] = String(text[text.index(after: equals)...])
            }
            unsafe next += 1
        }
        return ServiceLinks.removed(from: variables)
    }
}

enum StandardError {
    /// Nothing can be done if nobody reads it; the end of the process does not wait for that for ever.
    static func write(_ text: String) {
        var writer = LineWriter(output: STDERR_FILENO)
        let end = WallClock.monotonicMicroseconds + LogSink.flushMicroseconds
        _ = writer.write(Array(text.utf8), .until(end))
    }
}
