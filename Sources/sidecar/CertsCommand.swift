import ArgumentParser
import Glibc
import Logging
import Manifest
import Proxy

struct CertsCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "certs", abstract: "Certificates: look at those that the proxy would use, or have them made.",
        subcommands: [CertsCheckCommand.self, CertsSecretsCommand.self])
}

struct CertsCheckCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "check", abstract: "Say what would be loaded from the certificate directories, and what is wrong.",
        discussion: "The environment is that of `run`. Exits 1 on a problem; a warning is no problem.")

    @Option(help: "text, or json for machines.")
    var output = OutputFormat.text

    @Option(help: "Warn of certificates with fewer days left than this, and less than a fifth of their life.")
    var expiresWithin = CertificateSummary.warningDays

    enum OutputFormat: String, ExpressibleByArgument, CaseIterable { case text, json }

    func validate() throws {
        guard (0...36_500).contains(expiresWithin) else {
            throw ValidationError("--expires-within is a number of days from 0 to 36500")
        }
    }

    func run() throws {
        let sink = LogSink(output: STDERR_FILENO)
        let logger = Logger.lines(sink, level: .info)
        let source: CertificateSource
        do throws(FatalError) {
            source = CertificateSource(try Environment.configuration())
        } catch {
            throw Failure.report(error, logger, sink)
        }
        let now = Int64(time(nil))
        var survey = CertificateSurvey.take(source, now: now)
        survey.warnings += survey.timeWarnings(now: now, days: expiresWithin)
        let report = CertificateReport(survey: survey, now: now)
        do throws(FatalError) {
            try CommandFile.print(output == .text ? report.text : report.document.json)
        } catch {
            throw Failure.report(error, logger, sink)
        }
        guard survey.problems.isEmpty else { throw ExitCode(FatalError.ExitCode.failed.rawValue) }
    }
}

/// A survey for people and for machines.
private struct CertificateReport {
    let survey: CertificateSurvey
    let now: Int64

    var text: String {
        var lines = ["clock: \(Timestamp.text(seconds: now))", ""]
        for file in survey.files {
            lines.append("\(file.role.rawValue): \(file.path)")
            switch file.role {
            case .server, .client: lines += pair(file.certificates)
            case .trustForAll, .trustForClients, .trustForServers: lines += file.certificates.map { anchor($0) }
            }
            lines.append("")
        }
        lines += survey.problems.map { "problem: \($0.sentence)" }
        lines += survey.warnings.map { "warning: \($0)" }
        if survey.problems.isEmpty {
            lines.append(
                survey.warnings.isEmpty ? "all of it can be used" : "all of it can be used, but see the warnings")
        } else {
            lines.append("nothing would be loaded: see the problems")
        }
        return lines.joined(separator: "\n")
    }

    private func pair(_ certificates: [CertificateSummary]) -> [String] {
        guard let leaf = certificates.first else { return [] }
        var lines = [
            "  subject  \(leaf.subject)",
            "  names    \(leaf.names.isEmpty ? "none" : leaf.names.joined(separator: " "))",
            "  serial   \(leaf.serial)",
            "  issuer   \(leaf.issuer)\(leaf.isSelfIssued ? ", the same" : "")",
            "  valid    \(validity(leaf))",
            "  chain    \(certificates.count) certificate\(certificates.count == 1 ? "" : "s")",
        ]
        for issuer in certificates.dropFirst() { lines.append("           \(issuer.subject), \(validity(issuer))") }
        return lines
    }

    private func anchor(_ certificate: CertificateSummary) -> String {
        "  \(certificate.subject), serial \(certificate.serial), \(validity(certificate))"
    }

    private func validity(_ certificate: CertificateSummary) -> String {
        let (start, end) = (certificate.notBefore, certificate.notAfter)
        let rest =
            end < now
            ? "expired" : start > now ? "not valid yet" : "\(TimeSpan.text(seconds: end - now)) left"
        return "\(Timestamp.text(seconds: start)) to \(Timestamp.text(seconds: end)) (\(rest))"
    }

    var document: ManifestValue {
        let files = survey.files.map { file -> ManifestValue in
            [
                "role": .string(file.role.rawValue), "path": .string(file.path),
                "certificates": .array(file.certificates.map { json(of: $0) }),
            ]
        }
        return [
            "ok": .bool(survey.problems.isEmpty),
            "clock": .string(Timestamp.text(seconds: now)),
            "problems": .array(survey.problems.map { .string($0.sentence) }),
            "warnings": .array(survey.warnings.map { .string($0) }),
            "files": .array(files),
        ]
    }

    private func json(of certificate: CertificateSummary) -> ManifestValue {
        [
            "subject": .string(certificate.subject),
            "issuer": .string(certificate.issuer),
            "serial": .string(certificate.serial),
            "names": .array(certificate.names.map { .string($0) }),
            "not_before": .string(Timestamp.text(seconds: certificate.notBefore)),
            "not_after": .string(Timestamp.text(seconds: certificate.notAfter)),
            "remaining_seconds": .number("\(certificate.notAfter - now)"),
            "self_issued": .bool(certificate.isSelfIssued),
        ]
    }
}
