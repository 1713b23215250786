import ArgumentParser
import Glibc
import Logging
import Proxy

struct RunCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "run", abstract: "Run the proxy. Settings come from the environment.")

    func run() throws {
        let sink = LogSink(output: STDOUT_FILENO)
        var logger = Logger.json(sink, level: .info)
        do throws(FatalError) {
            let configuration = try Environment.configuration()
            logger = Logger.json(sink, level: configuration.log.level)
            try ProxyProcess(configuration, logger: logger, sink: sink).run()
        } catch {
            throw Failure.report(error, logger, sink)
        }
    }
}
