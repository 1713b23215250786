import ArgumentParser
import Glibc
import Logging
import Manifest
import NetSetup
import Proxy

struct InitCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "init", abstract: "Program the capture rules of this network namespace.",
        discussion:
            "Without an option: writes the rules, replacing what an earlier run left. Settings come from the environment."
    )

    @Flag(help: "Print the nftables ruleset and the ip rules and routes; change nothing, need no privilege.")
    var dryRun = false

    @Flag(help: "Exit 0 only if the kernel holds exactly these rules; else say what differs.")
    var verify = false

    @Flag(help: "Take all of it away.")
    var remove = false

    @Option(help: "text, or json for machines.")
    var output = OutputFormat.text

    enum OutputFormat: String, ExpressibleByArgument, CaseIterable { case text, json }

    func validate() throws {
        guard [dryRun, verify, remove].count(where: { $0 }) <= 1 else {
            throw ValidationError("--dry-run, --verify and --remove exclude each other")
        }
    }

    func run() throws {
        let sink = LogSink(output: STDERR_FILENO)
        let logger = Logger.lines(sink, level: .info)
        do throws(FatalError) {
            let plan = CapturePlan(CaptureSettings(try Environment.configuration()))
            let differences = try perform(plan)
            guard differences.isEmpty else { throw FatalError(differences) }
        } catch {
            throw Failure.report(error, logger, sink)
        }
    }

    /// Does what was asked and prints the result; answers what a verification found.
    private func perform(_ plan: CapturePlan) throws(FatalError) -> [String] {
        if dryRun {
            try CommandFile.print(output == .text ? plan.text : plan.json)
            return []
        }
        let (done, differences) = try act(plan)
        try report(done, differences)
        return differences
    }

    private func act(_ plan: CapturePlan) throws(FatalError) -> (done: String, differences: [String]) {
        do throws(NetSetupError) {
            if verify {
                return ("verified", try CaptureInstaller.verify(plan).map(\.sentence))
            } else if remove {
                try CaptureInstaller.remove(plan)
                return ("removed", [])
            } else {
                try CaptureInstaller.apply(plan)
                return ("applied", [])
            }
        } catch {
            throw FatalError(error.sentence, exitCode: error.isPermission ? .noPermission : .failed)
        }
    }

    private func report(_ done: String, _ differences: [String]) throws(FatalError) {
        switch output {
        // The exit code says as much: a pod must not fail because nobody takes this line.
        case .text: if differences.isEmpty { try? CommandFile.print("capture rules \(done)") }
        case .json:
            let list = differences.map { ManifestValue.string($0) }
            let document: ManifestValue = [
                "action": .string(done), "ok": .bool(list.isEmpty), "differences": .array(list),
            ]
            try CommandFile.print(document.json)
        }
    }
}

extension CapturePlan {
    fileprivate var text: String { nftText + "\n" + ipCommands.joined(separator: "\n") }

    fileprivate var json: String {
        let document: ManifestValue = ["nft": .string(nftText), "ip": .array(ipCommands.map { .string($0) })]
        return document.json
    }
}

extension CaptureSettings {
    init(_ configuration: Configuration) {
        let capture = configuration.capture
        self.init(
            inboundCapturePort: capture.inboundPort, outboundCapturePort: capture.outboundPort,
            includeInboundPorts: capture.includeInboundPorts, excludeInboundPorts: capture.excludeInboundPorts,
            ownPorts: configuration.ownPorts, includeOutboundCIDRs: capture.includeOutboundCIDRs,
            excludeOutboundCIDRs: capture.excludeOutboundCIDRs, includeOutboundPorts: capture.includeOutboundPorts,
            excludeOutboundPorts: capture.excludeOutboundPorts, excludeOutboundUIDs: capture.excludeOutboundUIDs,
            proxyUID: capture.proxyUID,
            captureMark: FirewallMark(value: capture.captureMark.value, mask: capture.captureMark.mask),
            proxyMark: FirewallMark(value: capture.proxyMark.value, mask: capture.proxyMark.mask),
            routingTable: capture.routingTable)
    }
}
