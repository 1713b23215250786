import ArgumentParser
import Glibc
import Proxy

struct ProbeCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "probe", abstract: "Ask the sidecar of this pod whether it is live or ready.",
        discussion: "Exits 0 when it is, else 1 with the reasons on standard error: an exec probe that needs no shell.")

    enum Question: String, ExpressibleByArgument, CaseIterable { case live, ready }

    @Argument(help: "live or ready.")
    var question = Question.ready

    @OptionGroup var monitor: MonitorOptions

    @Option(help: "Seconds to wait for the answer.")
    var timeout = 1

    func validate() throws {
        guard (1...3_600).contains(timeout) else { throw ValidationError("--timeout must be from 1 to 3600") }
    }

    func run() throws {
        let reasons: [String]
        do throws(FatalError) {
            reasons = try MonitorClient(port: monitor.port, seconds: timeout).obstacles("/\(question.rawValue)")
        } catch {
            throw StandardError.end(error.sentences, error.exitCode)
        }
        if !reasons.isEmpty { throw StandardError.end(reasons, .failed) }
    }
}

extension MonitorClient {
    /// Why a health check fails, a line each; empty when it does not.
    func obstacles(_ path: String) -> [String] {
        do throws(Failure) {
            let answer = try ask("GET", path)
            guard answer.status != 200 else { return [] }
            let lines = answer.body.split(separator: "\n").map(String.init)
            return lines.isEmpty ? ["\(path) answers \(answer.status)"] : lines
        } catch {
            return [error.sentence]
        }
    }
}

extension StandardError {
    /// Writes sentences and answers what to throw.
    static func end(_ sentences: [String], _ code: FatalError.ExitCode) -> ExitCode {
        for sentence in sentences { write("sidecar: \(sentence)\n") }
        return ExitCode(code.rawValue)
    }
}
