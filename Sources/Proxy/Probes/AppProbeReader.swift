import Addressing
import Manifest

/// Reads APP_PROBES: an object from path to probe, with Kubernetes' own names. Collects what is wrong, a sentence each.
struct AppProbeReader {
    /// Of the variable. Probes of a whole pod are a few kilobytes.
    static let maximumBytes = 65_536
    /// Three for each of 32 containers.
    static let maximumProbes = 96
    static let timeoutSeconds = 1...86_400
    /// Of a gRPC service's name.
    static let maximumServiceBytes = 1_024
    /// More of a text is not repeated in a message.
    fileprivate static let quotedCharacters = 80

    private(set) var problems: [String] = []
    /// The probe that is being read.
    private var path = ""

    mutating func read(_ text: String) -> AppProbes {
        guard text.utf8.count <= AppProbeReader.maximumBytes else {
            problems.append("APP_PROBES has \(text.utf8.count) bytes: \(AppProbeReader.maximumBytes) are the most")
            return .none
        }
        let document: ManifestValue
        do throws(JSONError) {
            document = try JSONReader.read(Array(text.utf8))
        } catch {
            problems.append("APP_PROBES is not valid JSON, \(error.sentence)")
            return .none
        }
        guard let members = document.object?.members else {
            problems.append("APP_PROBES is not valid: it must be an object from path to probe, and is \(document.told)")
            return .none
        }
        guard members.count <= AppProbeReader.maximumProbes else {
            problems.append("APP_PROBES lists \(members.count) probes: \(AppProbeReader.maximumProbes) are the most")
            return .none
        }
        return AppProbes(members.compactMap { probe($0) })
    }

    private mutating func complain(_ sentence: String) {
        problems.append("APP_PROBES \(Redaction.text(path)): \(sentence)")
    }

    // MARK: one probe

    /// What the kubelet needs and the sidecar does not: when to ask, and what follows from the answers.
    private static let kubeletsOwn: Set<String> = [
        "initialDelaySeconds", "periodSeconds", "successThreshold", "failureThreshold",
        "terminationGracePeriodSeconds",
    ]

    private mutating func probe(_ member: ManifestObject.Member) -> AppProbe? {
        path = member.key
        guard AppProbeReader.isPath(path) else {
            complain("the path is not valid: write /app-health/<container>/livez, readyz or startupz")
            return nil
        }
        guard let fields = member.value.object?.members else {
            complain("a probe must be an object, and is \(member.value.told)")
            return nil
        }
        var timeout = 1
        var actions: [AppProbe.Action?] = []
        var isMisspelt = false
        for field in fields where !field.value.isNull {
            switch field.key {
            case "httpGet": actions.append(http(field.value))
            case "tcpSocket": actions.append(tcp(field.value))
            case "grpc": actions.append(grpc(field.value))
            case "exec":
                complain("exec runs inside the container, where only the kubelet can: leave this probe as it is")
                return nil
            case "timeoutSeconds": timeout = seconds(field.value) ?? timeout
            case _ where AppProbeReader.kubeletsOwn.contains(field.key):
                if field.value.integer == nil { complain("\(field.key) must be a number, and is \(field.value.told)") }
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

    private mutating func seconds(_ value: ManifestValue) -> Int? {
        let range = AppProbeReader.timeoutSeconds
        if value.integer == 0 { return 1 }  // as Kubernetes reads it
        if let number = value.integer, range.contains(number) { return number }
        complain(
            "timeoutSeconds must be a whole number from \(range.lowerBound) to \(range.upperBound), and is \(value.told)"
        )
        return nil
    }

    // MARK: the three kinds

    private mutating func http(_ value: ManifestValue) -> AppProbe.Action? {
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

    private mutating func tcp(_ value: ManifestValue) -> AppProbe.Action? {
        guard let fields = members(value, of: "tcpSocket", named: ["port", "host"]) else { return nil }
        let port = port(fields["port"], of: "tcpSocket")
        guard isHere(fields["host"], of: "tcpSocket"), let port else { return nil }
        return .tcp(port: port)
    }

    private mutating func grpc(_ value: ManifestValue) -> AppProbe.Action? {
        guard let fields = members(value, of: "grpc", named: ["port", "service"]) else { return nil }
        let port = port(fields["port"], of: "grpc")
        let service: String
        switch fields["service"] {
        case nil, .null: service = ""
        case .string(let name) where name.utf8.count <= AppProbeReader.maximumServiceBytes: service = name
        case let other?:
            complain(
                "grpc.service must be a text of up to \(AppProbeReader.maximumServiceBytes) bytes, and is \(other.told)"
            )
            return nil
        }
        return port.map { .grpc(port: $0, service: service) }
    }

    /// The members by name; nil where the value is no object or holds a name that is not known.
    private mutating func members(_ value: ManifestValue, of kind: String, named known: [String]) -> [String:
        ManifestValue]?
    {
        guard let object = value.object else {
            complain("\(kind) must be an object, and is \(value.told)")
            return nil
        }
        let strange = object.keys.filter { !known.contains($0) }
        for key in strange {
            complain("\(kind) has no field \"\(key)\": it has \(known.joined(separator: ", "))")
        }
        guard strange.isEmpty else { return nil }
        return object.dictionary
    }

    private mutating func port(_ value: ManifestValue?, of kind: String) -> UInt16? {
        guard let value else {
            complain("\(kind).port is missing")
            return nil
        }
        if let number = value.integer, let port = UInt16(exactly: number), port > 0 { return port }
        complain("\(kind).port must be a number from 1 to 65535, and is \(value.told)")
        return nil
    }

    private mutating func isHere(_ host: ManifestValue?, of kind: String) -> Bool {
        switch host {
        case nil, .null, .string(""): return true
        case let other?:
            complain("\(kind).host is \(other.told): only this pod's application is asked; leave this probe as it is")
            return false
        }
    }

    private mutating func target(_ value: ManifestValue?) -> String? {
        guard case .string(let text)? = value else {
            guard let value, !value.isNull else { return "/" }
            complain("httpGet.path must be a text, and is \(value.told)")
            return nil
        }
        guard text.utf8.allSatisfy({ ByteClass.isTarget($0) }) else {
            complain(
                "httpGet.path must be visible ASCII without #, the rest percent-encoded, and is \(ManifestValue.string(text).told)"
            )
            return nil
        }
        return text.hasPrefix("/") ? text : "/" + text
    }

    private mutating func scheme(_ value: ManifestValue?) -> Bool? {
        switch value {
        case nil, .null, .string(""), .string("HTTP"): return false
        case .string("HTTPS"): return true
        case let other?:
            complain("httpGet.scheme must be HTTP or HTTPS, and is \(other.told)")
            return nil
        }
    }

    private mutating func headers(_ value: ManifestValue?) -> [HTTPQuestion.Field]? {
        guard let value, !value.isNull else { return [] }
        guard case .array(let items) = value else {
            complain("httpGet.httpHeaders must be an array of objects of name and value")
            return nil
        }
        var fields: [HTTPQuestion.Field] = []
        for item in items {
            guard item.object?.count == 2, let name = item["name"]?.string, let text = item["value"]?.string else {
                complain("httpGet.httpHeaders must hold objects of name and value, both texts")
                return nil
            }
            guard !name.isEmpty, name.utf8.allSatisfy({ ByteClass.isToken($0) }) else {
                complain("httpGet.httpHeaders: \(ManifestValue.string(name).told) is no field name")
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

extension ManifestValue {
    /// What it is, for a sentence about what it should be.
    fileprivate var told: String {
        switch self {
        case .null: "null"
        case .bool(let value): "\(value)"
        case .number(let text): text
        case .string(let text): "the text \"\(Redaction.text(text).prefix(AppProbeReader.quotedCharacters))\""
        case .array: "an array"
        case .object: "an object"
        }
    }
}
