import ArgumentParser
import Glibc
import Logging
import Proxy

struct RunCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "run", abstract: "Run the proxy. Settings come from the environment.")

    func run() throws {
        let sink = LogSink(output: STDOUT_FILENO)
        var logger = Logger.lines(sink, level: .info)
        do throws(FatalError) {
            let configuration = try Environment.configuration()
            logger = Logger.lines(sink, level: configuration.log.level, format: configuration.log.format)
            try ProxyProcess(configuration, logger: logger, sink: sink, version: Version.text).run()
        } catch {
            throw Failure.report(error, logger, sink)
        }
    }
}
