/// One finding of `sidecar doctor`: what is so, and what to do about it.
package struct Diagnosis: Equatable, Sendable {
    /// `unknown` is what could not be looked at, which is not the same as being in order.
    package enum Severity: String, Sendable, CaseIterable { case ok, unknown, warning, problem }

    package enum Area: String, Sendable, CaseIterable {
        case configuration, certificates, clock, kernel, readiness, sandbox, process, capabilities, users, sockets
        case rules, counters, routing
        case otherRules = "other-rules"
        case sysctls
    }

    package let area: Area
    package let severity: Severity
    package let sentence: String
    /// What to do; nothing where all is well.
    package let fix: String?

    package static func ok(_ area: Area, _ sentence: String) -> Diagnosis {
        Diagnosis(area: area, severity: .ok, sentence: sentence, fix: nil)
    }

    package static func unknown(_ area: Area, _ sentence: String, fix: String) -> Diagnosis {
        Diagnosis(area: area, severity: .unknown, sentence: sentence, fix: fix)
    }

    package static func warning(_ area: Area, _ sentence: String, fix: String) -> Diagnosis {
        Diagnosis(area: area, severity: .warning, sentence: sentence, fix: fix)
    }

    package static func problem(_ area: Area, _ sentence: String, fix: String) -> Diagnosis {
        Diagnosis(area: area, severity: .problem, sentence: sentence, fix: fix)
    }
}
