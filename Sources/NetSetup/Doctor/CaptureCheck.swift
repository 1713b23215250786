import Addressing

/// Whether the kernel holds the capture rules, the policy rules and the routes, and what they have counted.
enum CaptureCheck {
    static func findings(_ facts: SystemFacts, _ expectation: Doctor.Expectation) -> [Diagnosis] {
        guard expectation.isTransparent else { return [explicit(facts)] }
        return table(facts, expectation) + routing(facts, expectation) + counters(facts)
    }

    private static let runInit = "run `sidecar init` again in this pod, with the environment of the proxy"

    /// Without TRANSPARENT=true there must be no rules: nobody would take what they capture.
    private static func explicit(_ facts: SystemFacts) -> Diagnosis {
        let holdsTable = facts.table.known.map { $0 != [.tableMissing] }
        let holdsPolicies =
            facts.routing.known?.contains { if case .policyMissing = $0 { true } else { false } } == false
        guard holdsTable ?? holdsPolicies else {
            return .ok(.rules, "TRANSPARENT is not true, and there are no capture rules")
        }
        return .problem(
            .rules, "there are capture rules, but TRANSPARENT is not true: what they capture is dropped",
            fix:
                "set TRANSPARENT=true for the proxy, or take the rules away with `sidecar init --remove`; where this runs outside "
                + "the sidecar's container, give it the proxy's environment")
    }

    // MARK: the table

    private static func table(_ facts: SystemFacts, _ expectation: Doctor.Expectation) -> [Diagnosis] {
        switch facts.table {
        case .unreadable(let error): return unread(error, facts.canary)
        case .value(let differences) where differences.isEmpty:
            return [.ok(.rules, "the table inet \(CapturePlan.table) holds exactly the rules of the plan")]
        case .value(let differences):
            return differences.map { .problem(.rules, $0.sentence, fix: fix(for: $0, expectation)) }
        }
    }

    /// Whether they are in force can be known all the same.
    private static func unread(_ error: NetSetupError, _ canary: Canary.Answer) -> [Diagnosis] {
        let name = "the table inet \(CapturePlan.table)"
        switch canary {
        case .refused:
            return [
                .ok(.rules, "the capture rules are in force: they refused a test datagram"),
                unreadable(.rules, "whether \(name) holds exactly the rules of the plan", error),
            ]
        case .passed: return [.problem(.rules, CaptureDifference.rulesSilent.sentence, fix: runInit)]
        case .unknown: return [unreadable(.rules, "the rules of \(name)", error)]
        }
    }

    private static func fix(for difference: CaptureDifference, _ expectation: Doctor.Expectation) -> String {
        let settings = expectation.settings
        switch difference {
        case .ruleMissing(_, let rule):
            if rule.matches.contains(.mark(settings.proxyMark))
                || rule.matches.contains(.connectionMark(settings.proxyMark))
            {
                return sameMark("PROXY_MARK", settings.proxyMark)
            }
            if rule.matches.contains(.mark(settings.captureMark))
                || rule.actions.contains(.setMark(settings.captureMark))
            {
                return sameMark("CAPTURE_MARK", settings.captureMark)
            }
            return runInit
        case .policyUnknown(_, _, let mark, _) where mark != nil && mark != settings.captureMark:
            return sameMark("CAPTURE_MARK", settings.captureMark)
        case .policyPrecedes(let isIPv6, let priority): return giveWay(isIPv6, priority)
        case .tableMissing, .tableFlagged, .rulesSilent, .chainMissing, .chainChanged, .chainUnknown, .rulesUnknown,
            .rulesReordered, .routeMissing, .routesUnknown, .policyMissing, .policyUnknown:
            return runInit
        }
    }

    private static func sameMark(_ variable: String, _ mark: FirewallMark) -> String {
        "\(variable) is \(mark) here: give init and run the same one, then \(runInit)"
    }

    private static func giveWay(_ isIPv6: Bool, _ priority: UInt32) -> String {
        "delete it (ip \(isIPv6 ? "-6" : "-4") rule del priority \(priority)), or give it a priority after "
            + "\(CapturePlan.refusalPriority)"
    }

    // MARK: routing

    private static func routing(_ facts: SystemFacts, _ expectation: Doctor.Expectation) -> [Diagnosis] {
        let doubtful = (facts.doubtfulPolicies.known ?? []).map { rule in
            Diagnosis.warning(
                .routing,
                "the \(rule.isIPv6 ? "IPv6" : "IPv4") policy rule with priority \(rule.priority) is asked before those of "
                    + "capture, and may take captured packets",
                fix: giveWay(rule.isIPv6, rule.priority))
        }
        return doubtful + judge(facts.routing, expectation)
    }

    private static func judge(
        _ routing: Reading<[CaptureDifference]>, _ expectation: Doctor.Expectation
    ) -> [Diagnosis] {
        switch routing {
        case .unreadable(let error): return [unreadable(.routing, "the policy rules and routes", error)]
        case .value(let differences) where differences.isEmpty:
            return [.ok(.routing, "policy rules and routes stand for IPv4 and IPv6")]
        case .value(let differences):
            return differences.map { .problem(.routing, $0.sentence, fix: fix(for: $0, expectation)) }
        }
    }

    // MARK: counters

    private static func counters(_ facts: SystemFacts) -> [Diagnosis] {
        guard let counters = facts.counters.known, facts.table.known != [.tableMissing] else { return [] }
        var findings: [Diagnosis] = []
        let dropped: [(Int64, String)] = [
            (counters.inboundDropped, "inbound"), (counters.outboundDropped, "outbound"),
        ]
        for (count, direction) in dropped where count > 0 {
            findings.append(
                .warning(
                    .counters, "\(count) \(direction) packets were dropped because no proxy listened for them",
                    fix:
                        "some are usual before the proxy has started; if the number grows while it runs, see the findings on sockets"
                ))
        }
        if counters.strayed > 0 {
            findings.append(
                .warning(
                    .counters,
                    "\(counters.strayed) captured packets were on their way out past the proxy, and were dropped",
                    fix: "see the findings on routing: a rule or route of another program took them"))
        }
        if counters.misusedPorts > 0 {
            findings.append(
                .warning(
                    .counters,
                    "\(counters.misusedPorts) packets were dropped because a connection was opened from one of the sidecar's own ports",
                    fix: "keep the application from using MONITOR_PORT and TLS_LISTEN_PORT as a source port"))
        }
        findings.append(
            .ok(
                .counters,
                "handed to the proxy: \(counters.inboundCaptured) inbound connections, \(counters.outboundCaptured) outbound packets"
            ))
        return findings
    }

    static func unreadable(_ area: Diagnosis.Area, _ what: String, _ error: NetSetupError) -> Diagnosis {
        guard error.isPermission else {
            return .unknown(area, "\(what) cannot be read: \(error.sentence)", fix: "see what the kernel supports")
        }
        return .unknown(
            area, "\(what) cannot be read without the capability NET_ADMIN",
            fix:
                "run `sidecar doctor` where it has it: kubectl debug --profile=netadmin, or on the node with nsenter -n"
        )
    }
}

extension Reading {
    /// Why it could not be read; empty when it could.
    var failure: String {
        switch self {
        case .value: ""
        case .unreadable(let error): error.sentence
        }
    }
}
