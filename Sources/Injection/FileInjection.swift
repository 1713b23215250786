import Manifest
import YAML

/// Injection into a file: each document with pods is changed, every other keeps its bytes.
package struct FileInjection {
    /// What happened to one object, or what is wrong with the file.
    package struct Report: Equatable {
        package let line: Int
        /// Kind and name; empty for the file itself.
        package let object: String
        package let sentence: String
        package let isRefusal: Bool

        package var text: String { "line \(line): " + (object.isEmpty ? "" : "\(object): ") + sentence }
    }

    private let injector: Injector
    private let wantsServices: Bool
    private var output: [UInt8] = []
    private(set) var reports: [Report] = []
    private var services: [ManifestValue] = []
    /// Of Services in the file: namespace and name.
    private var serviceNames: Set<[String]> = []

    /// - Parameter wantsServices: a Service for the mTLS port of every object in the explicit mode.
    package init(_ injector: Injector, wantsServices: Bool) {
        self.injector = injector
        self.wantsServices = wantsServices
    }

    /// The file's new bytes and what to tell. With a refusal among the reports the bytes are not to be used.
    package consuming func inject(into bytes: [UInt8]) -> (output: [UInt8], reports: [Report]) {
        if let line = FileInjection.lineThatIsNotText(bytes) {
            complain(line, "the file is not UTF-8 here: save it as UTF-8")
            return (output, reports)
        }
        for document in YAMLStream.documents(in: bytes) {
            read(bytes[document.bytes], document.precedingLines)
        }
        if reports.isEmpty { complain(1, "there is no object in the file") }
        appendServices(isJSON: bytes.first { $0 > 0x20 } == UInt8(ascii: "{"))
        return (output, reports)
    }

    private static func lineThatIsNotText(_ bytes: [UInt8]) -> Int? {
        guard String(validating: bytes, as: UTF8.self) == nil else { return nil }
        let lines = bytes.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
        return (lines.firstIndex { String(validating: $0, as: UTF8.self) == nil } ?? 0) + 1
    }

    private mutating func complain(_ line: Int, of object: String = "", _ sentence: String) {
        reports.append(Report(line: line, object: object, sentence: sentence, isRefusal: true))
    }

    private mutating func tell(_ line: Int, _ object: String, _ sentence: String) {
        reports.append(Report(line: line, object: object, sentence: sentence, isRefusal: false))
    }

    // MARK: documents

    private mutating func read(_ bytes: ArraySlice<UInt8>, _ precedingLines: Int) {
        let root: YAMLNode
        do throws(YAMLError) {
            guard let node = try YAMLReader.read(bytes, precedingLines: precedingLines), !node.value.isNull else {
                output += bytes
                return
            }
            root = node
        } catch {
            complain(error.position.line, "column \(error.position.column): \(error.reason)")
            return
        }
        let value = root.value
        guard let new = changed(value, root), new != value else {
            output += bytes
            return
        }
        guard let edit = YAMLEdit.apply(new, to: root, in: bytes, precedingLines: precedingLines) else {
            complain(root.position.line, "the changed document cannot be written as YAML; give it as JSON")
            return
        }
        output += edit.bytes
        if !edit.keepsText, root.style == .block, bytes.contains(UInt8(ascii: "#")) {
            tell(root.position.line, FileInjection.name(of: value), "written anew, without the comments in it")
        }
    }

    /// A document's value after injection; nil if nothing can be done with it.
    private mutating func changed(_ value: ManifestValue, _ node: YAMLNode) -> ManifestValue? {
        guard let object = value.object else {
            complain(node.position.line, "the document is \(value.kindName) and no Kubernetes object")
            return nil
        }
        guard let kind = value["kind"]?.string else {
            complain(node.position.line, "the document is no Kubernetes object: it has no kind")
            return nil
        }
        return kind.hasSuffix("List") ? list(object, kind, node) : injected(value, node.position.line)
    }

    /// A list's items, also those of a list in a list. One that says no kind is of the list's, as for kubectl.
    private mutating func list(_ object: ManifestObject, _ kind: String, _ node: YAMLNode) -> ManifestValue {
        guard let items = object["items"]?.array, let itemsNode = node["items"] else {
            return injected(.object(object), node.position.line)
        }
        var list = object
        var newItems: [ManifestValue] = []
        for (index, item) in items.enumerated() {
            let place = FileInjection.item(index, of: itemsNode)
            if let inner = item.object, let innerKind = item["kind"]?.string, innerKind.hasSuffix("List") {
                newItems.append(self.list(inner, innerKind, place))
            } else {
                newItems.append(self.item(item, of: object, kind, place.position.line))
            }
        }
        list["items"] = .array(newItems)
        return .object(list)
    }

    private mutating func item(
        _ item: ManifestValue, of list: ManifestObject, _ listKind: String, _ line: Int
    ) -> ManifestValue {
        guard listKind != "List", var object = item.object, object["kind"] == nil else { return injected(item, line) }
        let saysVersion = object["apiVersion"] != nil
        object["kind"] = .string(String(listKind.dropLast("List".count)))
        if !saysVersion { object["apiVersion"] = list["apiVersion"] }
        guard var result = injected(.object(object), line).object else { return item }
        result["kind"] = nil
        if !saysVersion { result["apiVersion"] = nil }
        return .object(result)
    }

    private static func item(_ index: Int, of node: YAMLNode) -> YAMLNode {
        guard case .sequence(let items) = node.content, items.indices.contains(index) else { return node }
        return items[index]
    }

    // MARK: objects

    private mutating func injected(_ object: ManifestValue, _ line: Int) -> ManifestValue {
        let name = FileInjection.name(of: object)
        if object["kind"]?.string == "Service" { serviceNames.insert(FileInjection.key(object)) }
        var result = object
        switch injector.outcome(for: object) {
        case .injected(let operations, let warnings):
            do throws(PatchError) {
                result = try object.applying(operations)
                tell(line, name, "injected")
            } catch {
                complain(line, of: name, "the change does not fit at \(error.path)")
            }
            for warning in warnings { tell(line, name, "note: \(warning)") }
        case .unchanged: tell(line, name, "has the sidecar already")
        case .skipped(let reason): tell(line, name, "left as it is: \(reason.sentence)")
        case .refused(let sentences):
            for sentence in sentences { complain(line, of: name, sentence) }
            return object
        }
        switch injector.service(for: result, isAsked: wantsServices) {
        case .service(let service): services.append(service)
        case .unsuitable(let reason): tell(line, name, "note: \(reason)")
        case nil: break
        }
        return result
    }

    private static func name(of object: ManifestValue) -> String {
        let metadata = object["metadata"]
        let name = metadata?["name"]?.string ?? metadata?["generateName"]?.string.map { $0 + "*" } ?? "without a name"
        let namespace = metadata?["namespace"]?.string.map { $0 + "/" } ?? ""
        return "\(object["kind"]?.string ?? "object") \(namespace)\(name)"
    }

    // MARK: Services

    private static func key(_ object: ManifestValue) -> [String] {
        [object["metadata"]?["namespace"]?.string ?? "", object["metadata"]?["name"]?.string ?? ""]
    }

    /// At the end, so that no other document moves.
    private mutating func appendServices(isJSON: Bool) {
        for service in services where serviceNames.insert(FileInjection.key(service)).inserted {
            if let last = output.last, last != UInt8(ascii: "\n") { output.append(UInt8(ascii: "\n")) }
            output += (isJSON ? service.json(indentedBy: 4) + "\n" : "---\n" + YAMLEmitter.document(service)).utf8
            let line = output.count { $0 == UInt8(ascii: "\n") }
            tell(line, FileInjection.name(of: service), "added at the end")
        }
    }
}
