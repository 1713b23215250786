import Manifest
import NetSetup

/// Findings as people and machines read them.
struct DoctorReport {
    private let findings: [Diagnosis]

    init(_ findings: [Diagnosis]) { self.findings = findings }

    var hasProblem: Bool { count(.problem) > 0 }

    /// A line a finding, aligned, with the fix below it; the sum at the end.
    var text: String {
        let severityWidth = Diagnosis.Severity.allCases.map(\.rawValue.count).max() ?? 0
        let areaWidth = findings.map(\.area.rawValue.count).max() ?? 0
        let indent = String(repeating: " ", count: severityWidth + areaWidth + 4)
        var lines: [String] = []
        for finding in findings {
            lines.append(
                "\(finding.severity.rawValue.padded(severityWidth))  \(finding.area.rawValue.padded(areaWidth))  \(finding.sentence)"
            )
            if let fix = finding.fix { lines.append("\(indent)→ \(fix)") }
        }
        lines.append("")
        lines.append(
            hasProblem
                ? "problems: \(count(.problem)), warnings: \(count(.warning)), not looked at: \(count(.unknown))"
                : "no problem; warnings: \(count(.warning)), not looked at: \(count(.unknown))")
        return lines.joined(separator: "\n")
    }

    var document: ManifestValue {
        let items = findings.map { finding -> ManifestValue in
            [
                "area": .string(finding.area.rawValue), "severity": .string(finding.severity.rawValue),
                "sentence": .string(finding.sentence), "fix": finding.fix.map { .string($0) } ?? .null,
            ]
        }
        return ["ok": .bool(!hasProblem), "findings": .array(items)]
    }

    private func count(_ severity: Diagnosis.Severity) -> Int { findings.count { $0.severity == severity } }
}

extension String {
    fileprivate func padded(_ width: Int) -> String { self + String(repeating: " ", count: max(0, width - count)) }
}
