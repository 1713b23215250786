import Addressing

/// Reads APP_PROBES: an object from path to probe, with Kubernetes' own names. Collects what is wrong, a sentence each.
struct AppProbeReader {
    /// Of the variable. Probes of a whole pod are a few kilobytes.
    static let maximumBytes = 65_536
    /// Three for each of 32 containers.
    static let maximumProbes = 96
    static let timeoutSeconds = 1...86_400
    /// Of a gRPC service's name.
    static let maximumServiceBytes = 1_024

    private(set) var problems: [String] = []
    /// The probe that is being read.
    private var path = ""

    mutating func read(_ text: String) -> AppProbes {
        guard text.utf8.count <= AppProbeReader.maximumBytes else {
            problems.append("APP_PROBES has \(text.utf8.count) bytes: \(AppProbeReader.maximumBytes) are the most")
            return .none
        }
        let document: JSONValue
        do throws(JSONError) {
            document = try JSONReader.read(Array(text.utf8))
        } catch {
            problems.append("APP_PROBES is not valid JSON, \(error.sentence)")
            return .none
        }
        guard case .object(let members) = document else {
            problems.append("APP_PROBES is not valid: it must be an object from path to probe, and is \(document.kind)")
            return .none
        }
        guard members.count <= AppProbeReader.maximumProbes else {
            problems.append("APP_PROBES lists \(members.count) probes: \(AppProbeReader.maximumProbes) are the most")
            return .none
        }
        return AppProbes(members.compactMap { probe($0) })
    }

    private mutating func complain(_ sentence: String) { problems.append("APP_PROBES \(path): \(sentence)") }

    // MARK: one probe

    /// What the kubelet needs and the sidecar does not: when to ask, and what follows from the answers.
    private static let kubeletsOwn: Set<String> = [
        "initialDelaySeconds", "periodSeconds", "successThreshold", "failureThreshold",
        "terminationGracePeriodSeconds",
    ]

    private mutating func probe(_ member: JSONValue.Member) -> AppProbe? {
        path = member.name
        guard AppProbeReader.isPath(path) else {
            complain("the path is not valid: write /app-health/<container>/livez, readyz or startupz")
            return nil
        }
        guard case .object(let fields) = member.value else {
            complain("a probe must be an object, and is \(member.value.kind)")
            return nil
        }
        var timeout = 1
        var actions: [AppProbe.Action?] = []
        var isMisspelt = false
        for field in fields where field.value != .null {
            switch field.name {
            case "httpGet": actions.append(http(field.value))
            case "tcpSocket": actions.append(tcp(field.value))
            case "grpc": actions.append(grpc(field.value))
            case "exec":
                complain("exec runs inside the container, where only the kubelet can: leave this probe as it is")
                return nil
            case "timeoutSeconds": timeout = seconds(field.value) ?? timeout
            case _ where AppProbeReader.kubeletsOwn.contains(field.name):
                if field.value.integer == nil { complain("\(field.name) must be a number, and is \(field.value.kind)") }
            case let name:
                complain("\"\(name)\" is no field of a probe: it has httpGet, tcpSocket or grpc, and timeoutSeconds")
                isMisspelt = true
            }
        }
        guard actions.count == 1 else {
            if actions.isEmpty, isMisspelt { return nil }
            complain("a probe has one of httpGet, tcpSocket and grpc, and this has \(actions.count)")
            return nil
        }
        return actions[0].map { AppProbe(path: path, action: $0, timeoutSeconds: timeout) }
    }

    private static func isPath(_ path: String) -> Bool {
        let parts = path.split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count == 4, parts[0].isEmpty, parts[1] == "app-health" else { return false }
        // A container's name is a label (RFC 1123 section 2.1), in lower case.
        let name = parts[2].utf8
        let isLabel = name.allSatisfy { (97...122).contains($0) || (48...57).contains($0) || $0 == 45 }
        guard isLabel, (1...63).contains(name.count), name.first != 45, name.last != 45 else { return false }
        return ["livez", "readyz", "startupz"].contains(parts[3])
    }

    private mutating func seconds(_ value: JSONValue) -> Int? {
        let range = AppProbeReader.timeoutSeconds
        if value.integer == 0 { return 1 }  // as Kubernetes reads it
        if let number = value.integer, range.contains(number) { return number }
        complain(
            "timeoutSeconds must be a whole number from \(range.lowerBound) to \(range.upperBound), and is \(value.kind)"
        )
        return nil
    }

    // MARK: the three kinds

    private mutating func http(_ value: JSONValue) -> AppProbe.Action? {
        guard let fields = members(value, of: "httpGet", named: ["path", "port", "scheme", "httpHeaders", "host"])
        else {
            return nil
        }
        let port = port(fields["port"], of: "httpGet")
        let target = target(fields["path"])
        let isTLS = scheme(fields["scheme"])
        let headers = headers(fields["httpHeaders"])
        guard isHere(fields["host"], of: "httpGet"), let port, let target, let isTLS, let headers else { return nil }
        return .http(HTTPQuestion(port: port, isTLS: isTLS, target: target, fields: headers))
    }

    private mutating func tcp(_ value: JSONValue) -> AppProbe.Action? {
        guard let fields = members(value, of: "tcpSocket", named: ["port", "host"]) else { return nil }
        let port = port(fields["port"], of: "tcpSocket")
        guard isHere(fields["host"], of: "tcpSocket"), let port else { return nil }
        return .tcp(port: port)
    }

    private mutating func grpc(_ value: JSONValue) -> AppProbe.Action? {
        guard let fields = members(value, of: "grpc", named: ["port", "service"]) else { return nil }
        let port = port(fields["port"], of: "grpc")
        let service: String
        switch fields["service"] {
        case nil, .null: service = ""
        case .string(let name) where name.utf8.count <= AppProbeReader.maximumServiceBytes: service = name
        case let other?:
            complain(
                "grpc.service must be a text of up to \(AppProbeReader.maximumServiceBytes) bytes, and is \(other.kind)"
            )
            return nil
        }
        return port.map { .grpc(port: $0, service: service) }
    }

    /// The members by name; nil where the value is no object or holds a name that is not known.
    private mutating func members(_ value: JSONValue, of kind: String, named known: [String]) -> [String: JSONValue]? {
        guard case .object(let members) = value else {
            complain("\(kind) must be an object, and is \(value.kind)")
            return nil
        }
        let strange = members.filter { !known.contains($0.name) }
        for member in strange {
            complain("\(kind) has no field \"\(member.name)\": it has \(known.joined(separator: ", "))")
        }
        guard strange.isEmpty else { return nil }
        return Dictionary(members.map { ($0.name, $0.value) }) { first, _ in first }
    }

    private mutating func port(_ value: JSONValue?, of kind: String) -> UInt16? {
        guard let value else {
            complain("\(kind).port is missing")
            return nil
        }
        if let number = value.integer, let port = UInt16(exactly: number), port > 0 { return port }
        complain("\(kind).port must be a number from 1 to 65535, and is \(value.kind)")
        return nil
    }

    private mutating func isHere(_ host: JSONValue?, of kind: String) -> Bool {
        switch host {
        case nil, .null, .string(""): return true
        case let other?:
            complain("\(kind).host is \(other.kind): only this pod's application is asked; leave this probe as it is")
            return false
        }
    }

    private mutating func target(_ value: JSONValue?) -> String? {
        guard case .string(let text)? = value else {
            guard let value, value != .null else { return "/" }
            complain("httpGet.path must be a text, and is \(value.kind)")
            return nil
        }
        guard text.utf8.allSatisfy({ ByteClass.isTarget($0) }) else {
            complain(
                "httpGet.path must be visible ASCII without #, the rest percent-encoded, and is \(JSONValue.string(text).kind)"
            )
            return nil
        }
        return text.hasPrefix("/") ? text : "/" + text
    }

    private mutating func scheme(_ value: JSONValue?) -> Bool? {
        switch value {
        case nil, .null, .string(""), .string("HTTP"): return false
        case .string("HTTPS"): return true
        case let other?:
            complain("httpGet.scheme must be HTTP or HTTPS, and is \(other.kind)")
            return nil
        }
    }

    private mutating func headers(_ value: JSONValue?) -> [HTTPQuestion.Field]? {
        guard let value, value != .null else { return [] }
        guard case .array(let items) = value else {
            complain("httpGet.httpHeaders must be an array, and is \(value.kind)")
            return nil
        }
        var fields: [HTTPQuestion.Field] = []
        for item in items {
            guard case .object(let members) = item, members.count == 2,
                case .string(let name)? = members.first(where: { $0.name == "name" })?.value,
                case .string(let text)? = members.first(where: { $0.name == "value" })?.value
            else {
                complain("httpGet.httpHeaders must hold objects of name and value, both texts")
                return nil
            }
            guard !name.isEmpty, name.utf8.allSatisfy({ ByteClass.isToken($0) }) else {
                complain("httpGet.httpHeaders: \(JSONValue.string(name).kind) is no field name")
                return nil
            }
            guard text.utf8.allSatisfy({ ByteClass.isFieldValue($0) }) else {
                complain("httpGet.httpHeaders: the value of \(name) holds a forbidden character")
                return nil
            }
            if AppProbeReader.passes(name) { fields.append(HTTPQuestion.Field(name: name, value: text)) }
        }
        return fields
    }

    /// Fields of connection and framing are left out, as the kubelet's own client does; and those that would tell the
    /// application of a peer that there is not.
    private static func passes(_ name: String) -> Bool {
        let bytes = Array(name.utf8)
        switch KnownField(bytes.span) {
        case .contentLength, .expect, .clientIdentity: return false
        case .host, .contentType, .requestID, .forwarded, .other: return name.lowercased() != "trailer"
        case .connection, .transferEncoding, .upgrade, .te, .keepAlive, .proxyConnection, .proxyAuthenticate,
            .proxyAuthorization:
            return false
        }
    }
}
