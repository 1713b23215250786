import Manifest

/// What a pod's annotations ask of the sidecar, put over the settings. Collects what is wrong with them.
struct PodWishes {
    private(set) var mode: InjectionMode
    private(set) var tlsSecret: String
    private(set) var image: String
    private(set) var endsWithApplication = false
    private(set) var wantsService = false
    /// Variables of the proxy, by name.
    private(set) var variables: [String: String] = [:]
    private(set) var resources: SidecarResources
    private(set) var problems: [String] = []

    init(_ pod: Pod, _ settings: InjectionSettings) {
        mode = settings.mode
        tlsSecret = settings.tlsSecret
        image = settings.image
        resources = settings.resources
        for member in pod.annotations.members where member.key.hasPrefix(Annotation.prefix) {
            guard let text = member.value.string else {
                problems.append(
                    "the annotation \(member.key) is \(member.value.kindName), and annotations are text: quote the value"
                )
                continue
            }
            let name = member.key.dropFirst(Annotation.prefix.count)
            if let known = Annotation.Name(rawValue: String(name)) {
                read(known, text)
            } else {
                readVariable(member.key, Variable.name(name), text)
            }
        }
        problems += resources.problems
    }

    private mutating func readVariable(_ key: String, _ variable: String, _ text: String) {
        if Variable.names.contains(variable) {
            variables[variable] = text
        } else if let reason = Variable.reserved[variable] {
            problems.append("the annotation \(key) cannot be set: \(reason)")
        } else {
            problems.append("there is no annotation \(key): remove it, or see docs/injection.md for what there is")
        }
    }

    private mutating func read(_ name: Annotation.Name, _ text: String) {
        switch name {
        case .inject, .status: break
        case .mode:
            guard let value = InjectionMode(rawValue: text) else {
                return complain(name, text, "transparent or explicit")
            }
            mode = value
        case .tlsSecret:
            guard InjectionSettings.isSecretName(text) else { return complain(name, text, "the name of a Secret") }
            tlsSecret = text
        case .image:
            guard InjectionSettings.isImage(text) else { return complain(name, text, "the name of an image") }
            image = text
        case .job:
            guard text == PodWishes.quitByApplication else { return complain(name, text, PodWishes.quitByApplication) }
            endsWithApplication = true
        case .service:
            guard let value = OptInText.value(text) else { return complain(name, text, "true or false") }
            wantsService = value
        case .cpuRequest: readQuantity(name, text, \.cpuRequest)
        case .cpuLimit: readQuantity(name, text, \.cpuLimit)
        case .memoryRequest: readQuantity(name, text, \.memoryRequest)
        case .memoryLimit: readQuantity(name, text, \.memoryLimit)
        }
    }

    static let quitByApplication = "quit-by-application"

    private mutating func readQuantity(
        _ name: Annotation.Name, _ text: String, _ place: WritableKeyPath<SidecarResources, String?>
    ) {
        guard text.isEmpty || KubernetesName.quantity(text) != nil else {
            return complain(name, text, "a quantity like 50m or 64Mi, or empty for none")
        }
        resources[keyPath: place] = text.isEmpty ? nil : text
    }

    private mutating func complain(_ name: Annotation.Name, _ text: String, _ expected: String) {
        problems.append("the annotation \(name.key) is \"\(text)\" and must be \(expected)")
    }
}

/// The words for yes and no in `sidecar.mtls.dev/inject`.
enum OptInText {
    static func value(_ text: String) -> Bool? {
        switch text {
        case "true", "enabled": true
        case "false", "disabled": false
        case _: nil
        }
    }
}
