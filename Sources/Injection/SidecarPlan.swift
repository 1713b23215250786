import Manifest

/// What is put into a pod: two containers at most and a volume, made from wishes alone.
struct SidecarPlan {
    static let container = "sidecar"
    static let initContainer = "sidecar-init"
    static let volume = "sidecar-tls"
    private static let certificates = "/etc/sidecar/tls"
    /// Where the image has the binary.
    private static let binary = "/usr/local/bin/sidecar"
    static let isolatedUser = 1337

    let mode: InjectionMode
    let isNative: Bool
    private let image: String
    private let imagePullPolicy: String
    private let tlsSecret: String
    private let resources: SidecarResources
    private let variables: [String: String]

    /// - Parameter upstreamPort: where the application listens, for the explicit mode.
    init(_ wishes: PodWishes, _ settings: InjectionSettings, upstreamPort: Int?) {
        mode = wishes.mode
        isNative = settings.hasNativeSidecars
        image = wishes.image
        imagePullPolicy = settings.imagePullPolicy
        tlsSecret = wishes.tlsSecret
        resources = wishes.resources
        var variables = wishes.variables
        for name in ["SERVER_CERT_DIR", "CLIENT_CERT_DIR", "CA_DIR"] where variables[name] == nil {
            variables[name] = SidecarPlan.certificates
        }
        switch wishes.mode {
        case .transparent:
            variables["TRANSPARENT"] = "true"
            // Captured connections need no port of their own, and the application may want this one.
            if variables["TLS_LISTEN_PORT"] == nil { variables["TLS_LISTEN_PORT"] = "" }
        case .explicit:
            if variables["UPSTREAM_URL"] == nil, let upstreamPort {
                variables["UPSTREAM_URL"] = "http://localhost:\(upstreamPort)"
            }
        }
        self.variables = variables
    }

    // MARK: what it occupies

    /// The sidecar's environment as the proxy will see it, without what Kubernetes fills in.
    func environment(appProbes: String?) -> [String: String] {
        var environment = variables
        environment["APP_PROBES"] = appProbes
        return environment
    }

    /// nil if it is disabled or no number.
    var monitorPort: Int? { port("MONITOR_PORT", default: 8081) }
    var tlsPort: Int? { port("TLS_LISTEN_PORT", default: 8443) }
    var proxyUser: Int { port("PROXY_UID", default: SidecarPlan.isolatedUser) ?? SidecarPlan.isolatedUser }

    /// The ports it listens on, each with the variable that moves it.
    var ownPorts: [(variable: String, port: Int)] {
        var ports = [("MONITOR_PORT", monitorPort), ("TLS_LISTEN_PORT", tlsPort)]
        ports.append(("OUTBOUND_PROXY_PORT", port("OUTBOUND_PROXY_PORT", default: nil)))
        switch mode {
        case .transparent:
            ports.append(("INBOUND_CAPTURE_PORT", port("INBOUND_CAPTURE_PORT", default: 15_006)))
            ports.append(("OUTBOUND_CAPTURE_PORT", port("OUTBOUND_CAPTURE_PORT", default: 15_001)))
        case .explicit: break
        }
        return ports.compactMap { variable, port in port.map { (variable, $0) } }
    }

    private func port(_ variable: String, default fallback: Int?) -> Int? {
        guard let text = variables[variable] else { return fallback }
        return Int(text).flatMap { $0 > 0 ? $0 : nil }
    }

    // MARK: what it is made of

    var volume: ManifestObject {
        // The key is read by a user that does not own it. The mode says so whatever the pod's fsGroup is; only the
        // sidecar's container has the volume.
        [
            "name": .string(SidecarPlan.volume),
            "secret": ["secretName": .string(tlsSecret), "defaultMode": 0o444],
        ]
    }

    /// Programs the capture rules; nil in the explicit mode.
    var initContainer: ManifestObject? {
        guard mode == .transparent else { return nil }
        let isForRunOnly = Set(["SERVER_CERT_DIR", "CLIENT_CERT_DIR", "CA_DIR"])
        return [
            "name": .string(SidecarPlan.initContainer), "image": .string(image),
            "imagePullPolicy": .string(imagePullPolicy), "args": ["init"],
            "env": .array(sortedVariables { !isForRunOnly.contains($0) }),
            "resources": resources.value,
            "securityContext": securityContext(user: 0, capabilities: ["NET_ADMIN", "NET_RAW"]),
        ]
    }

    func container(monitorPort: Int, appProbes: String?) -> ManifestObject {
        var container: ManifestObject = [
            "name": .string(SidecarPlan.container), "image": .string(image),
            "imagePullPolicy": .string(imagePullPolicy), "args": ["run"],
        ]
        if isNative { container["restartPolicy"] = "Always" }
        var variables = sortedVariables { _ in true }
        variables += [("POD_NAME", "metadata.name"), ("POD_NAMESPACE", "metadata.namespace")].map { name, field in
            ["name": .string(name), "valueFrom": ["fieldRef": ["fieldPath": .string(field)]]]
        }
        if let appProbes { variables.append(SidecarPlan.variable("APP_PROBES", appProbes)) }
        container["env"] = .array(variables)
        container["ports"] = .array(ports(monitorPort))
        let port = ManifestValue.number("\(monitorPort)")
        container["livenessProbe"] = ["httpGet": ["path": "/live", "port": port], "periodSeconds": 10]
        container["readinessProbe"] = ["httpGet": ["path": "/ready", "port": port], "periodSeconds": 2]
        container["startupProbe"] = [
            "httpGet": ["path": "/ready", "port": port], "periodSeconds": 1, "failureThreshold": 120,
        ]
        container["lifecycle"] = lifecycle
        container["resources"] = resources.value
        container["securityContext"] = securityContext(
            user: proxyUser, capabilities: mode == .transparent ? ["NET_RAW"] : [])
        container["volumeMounts"] = [
            ["name": .string(SidecarPlan.volume), "mountPath": .string(SidecarPlan.certificates), "readOnly": true]
        ]
        return container
    }

    /// Clients keep connections to the sidecar, which are answered 502 once the application is gone: they are asked to go
    /// when the pod begins to end. A native sidecar then gets its signal after the application; another one at once,
    /// unless its hook holds it back until endpoints have heard.
    private var lifecycle: ManifestValue {
        guard !isNative else { return ["preStop": hook("drain")] }
        // The next container starts when postStart has ended: the application finds its connections working.
        return [
            "postStart": hook("wait", "--timeout", "120"),
            "preStop": hook("drain", "--hold", "\(SidecarPlan.holdSeconds)"),
        ]
    }

    /// As long as applications hold themselves back usually, and far from the 30 seconds after which a pod is killed.
    private static let holdSeconds = 5

    private func hook(_ arguments: String...) -> ManifestValue {
        ["exec": ["command": .array(([SidecarPlan.binary] + arguments).map { .string($0) })]]
    }

    private func ports(_ monitorPort: Int) -> [ManifestValue] {
        var ports: [ManifestValue] = [
            ["name": "sidecar-monitor", "containerPort": .number("\(monitorPort)"), "protocol": "TCP"]
        ]
        if let tlsPort {
            ports.append(["name": "sidecar-mtls", "containerPort": .number("\(tlsPort)"), "protocol": "TCP"])
        }
        return ports
    }

    private func sortedVariables(where isWanted: (String) -> Bool) -> [ManifestValue] {
        variables.filter { isWanted($0.key) }.sorted { $0.key < $1.key }.map { SidecarPlan.variable($0.key, $0.value) }
    }

    private static func variable(_ name: String, _ value: String) -> ManifestValue {
        ["name": .string(name), "value": .string(escaped(value))]
    }

    /// Kubernetes would put other variables in place of `$(NAME)`, and one dollar in place of two.
    private static func escaped(_ value: String) -> String {
        value.unicodeScalars.reduce(into: "") { $0 += $1 == "$" ? "$$" : String($1) }
    }

    /// The bytes of a variable as the proxy sees them.
    static func unescaped(_ value: String) -> [UInt8] {
        var bytes: [UInt8] = []
        var isSecond = false
        for byte in value.utf8 {
            isSecond = byte == UInt8(ascii: "$") && bytes.last == byte && !isSecond
            if !isSecond { bytes.append(byte) }
        }
        return bytes
    }

    private func securityContext(user: Int, capabilities: [String]) -> ManifestValue {
        var drop: ManifestObject = ["drop": ["ALL"]]
        if !capabilities.isEmpty { drop["add"] = .array(capabilities.map { .string($0) }) }
        return [
            "runAsUser": .number("\(user)"), "runAsGroup": .number("\(user)"), "runAsNonRoot": .bool(user != 0),
            "readOnlyRootFilesystem": true, "allowPrivilegeEscalation": false, "capabilities": .object(drop),
            "seccompProfile": ["type": "RuntimeDefault"],
        ]
    }
}
