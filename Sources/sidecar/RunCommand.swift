import ArgumentParser
import Glibc
import Logging
import NetSetup
import Proxy

struct RunCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "run", abstract: "Run the proxy. Settings come from the environment.")

    func run() throws {
        ProcessSignals.proxy.prepare()
        try LoggedRun.run { (configuration, logger, sink) throws(FatalError) in
            let plan = CapturePlan(CaptureSettings(configuration))
            try ProxyProcess(configuration, logger: logger, sink: sink, version: Version.text)
                .run { CaptureVerification.verify(plan) }
        }
    }
}

/// What the running proxy knows of its capture rules: only what it may read.
private enum CaptureVerification {
    static func verify(_ plan: CapturePlan) -> CaptureWatch.Finding {
        do throws(NetSetupError) {
            return .differences(try CaptureInstaller.verifyReadable(plan).map(\.sentence))
        } catch {
            return .unreadable(error.sentence)
        }
    }
}
