import Addressing
import CLinux
import Glibc
package import Logging

/// `sidecar run`: opens what needs privileges, gives them up, starts the workers, waits, drains.
///
/// The thread that calls `run` becomes the control thread: signals, the monitor port, the resolver's answers.
package struct ProxyProcess {
    private let configuration: Configuration
    private let logger: Logger
    private let sink: LogSink
    private let version: String

    package init(_ configuration: Configuration, logger: Logger, sink: LogSink, version: String) {
        self.configuration = configuration
        self.logger = logger
        self.sink = sink
        self.version = version
    }

    /// Runs until a signal ends it.
    ///
    /// - Parameter verify: says what differs between the kernel's capture rules and those that the configuration needs.
    package func run(verifyingCapture verify: @escaping CaptureWatch.Verify) throws(FatalError) {
        let certificates = try loadCertificates()
        let isTransparent = configuration.capture.isTransparent
        try system { () throws(SystemError) in try Privileges.raise() }
        if isTransparent, !Privileges.allowTransparency {
            throw FatalError(
                "TRANSPARENT=true needs the capability NET_RAW (securityContext.capabilities.add; for a user that is not root "
                    + "also the binary's file capability cap_net_raw+p), or set TRANSPARENT=false",
                exitCode: .noPermission)
        }
        var sockets: [ListeningSocket] = []
        var opened: [ListenerPlan.Entry] = []
        for entry in ListenerPlan(configuration).entries {
            guard let socket = try ListenerPlan.open(entry) else { continue }
            sockets.append(ListeningSocket(consume socket, entry.role))
            opened.append(entry)
        }
        let control = try ControlThread(configuration, logger: logger, sink: sink, version: version)
        try system { () throws(SystemError) in
            try Privileges.drop(keepingNetRaw: isTransparent, becoming: configuration.capture.proxyUID)
        }
        if configuration.isSandboxed {
            control.fenced(Sandbox.enter(Sandbox.readablePaths(configuration), logger))
        }
        sink.start(format: configuration.log.format)
        announce(opened)
        if isTransparent { try control.watchCapture(verify) }
        let names = try system { () throws(SystemError) in try NameService() }
        let setup = WorkerSetup(
            configuration: configuration, material: certificates.material, logger: logger, sink: sink, names: names,
            control: control.mailbox, connections: ConnectionBudget(limit: configuration.maxConnections))
        try control.watch(certificates)
        try control.run(setup, consume sockets)
        sink.flush()
    }

    private func loadCertificates() throws(FatalError) -> LoadedCertificates {
        do throws(CertificateProblems) {
            return try LoadedCertificates(
                CertificateSource(configuration), now: linux_wall_microseconds() / 1_000_000)
        } catch {
            throw FatalError(error.sentences)
        }
    }

    private func announce(_ opened: [ListenerPlan.Entry]) {
        for entry in opened {
            logger.info("listening", metadata: ["address": "\(entry.endpoint)", "role": "\(entry.role)"])
        }
        let effective = String(max(0, linux_permitted_capabilities()), radix: 16)
        logger.info("started", metadata: ["uid": "\(linux_user())", "capabilities": "0x\(effective)"])
    }
}

/// Runs a step of the start that only the system can refuse.
func system<Value: ~Copyable>(_ step: () throws(SystemError) -> Value) throws(FatalError) -> Value {
    do throws(SystemError) {
        return try step()
    } catch {
        throw FatalError("the system refused to start the proxy: \(error)")
    }
}
