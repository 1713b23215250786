import Manifest

/// Reads one YAML document into a tree, as Kubernetes' own reader understands it (sigs.k8s.io/yaml: YAML 1.1, keys are
/// strings, `<<` merges).
package struct YAMLReader: ~Copyable {
    private let events: YAMLEvents
    private var anchors: [String: YAMLNode] = [:]
    private var nodeCount = 0

    /// The document in these bytes of UTF-8; nil if there is none, only comments. `precedingLines` is added to the lines of
    /// positions.
    package static func read(_ bytes: ArraySlice<UInt8>, precedingLines: Int = 0) throws(YAMLError) -> YAMLNode? {
        let start = YAMLPosition(line: precedingLines + 1, column: 1)
        guard bytes.count <= YAMLLimits.bytes else {
            throw YAMLError(
                "the document has \(bytes.count) bytes; \(YAMLLimits.bytes) is the most that is read", at: start)
        }
        var text = bytes.starts(with: YAMLStream.byteOrderMark) ? bytes.dropFirst(3) : bytes
        if text.first(where: { !YAMLStream.isSpace($0) }) == UInt8(ascii: "{") { text = SurrogatePairs.joined(text) }
        var reader = YAMLReader(events: try YAMLEvents(text, precedingLines: precedingLines))
        return try reader.document()
    }

    private init(events: consuming YAMLEvents) {
        self.events = events
    }

    private mutating func document() throws(YAMLError) -> YAMLNode? {
        guard case .document = try events.next().kind else { return nil }
        let root = try node(try events.next(), depth: 1)
        _ = try events.next()  // the document's end
        let next = try events.next()
        guard case .streamEnd = next.kind else {
            throw YAMLError("a second document begins without a line of \"---\" before it", at: next.position)
        }
        return root
    }

    private mutating func node(_ event: YAMLEvents.Event, depth: Int) throws(YAMLError) -> YAMLNode {
        guard depth <= YAMLLimits.depth else {
            throw YAMLError("lists and mappings are nested more than \(YAMLLimits.depth) deep", at: event.position)
        }
        var result: YAMLNode
        switch event.kind {
        case .alias(let name):
            guard var target = anchors[name] else {
                throw YAMLError("*\(name) refers to an anchor &\(name) that is not there before it", at: event.position)
            }
            try count(target.count, event)
            target.style = .alias
            return target
        case .scalar(let text, let isPlain):
            let value: ManifestValue
            do throws(YAMLScalar.Malformed) {
                value = try YAMLScalar.value(text, isPlain: isPlain, tag: event.tag)
            } catch {
                throw YAMLError(error.reason, at: event.position)
            }
            result = leaf(.scalar(value), event)
        case .sequence: result = try sequence(event, depth)
        case .mapping: result = try mapping(event, depth)
        case .document, .documentEnd, .streamEnd, .sequenceEnd, .mappingEnd:
            throw YAMLError("a value is missing here", at: event.position)
        }
        try count(1, event)
        if let anchor = event.anchor { anchors[anchor] = result }
        return result
    }

    private func leaf(_ content: YAMLNode.Content, _ event: YAMLEvents.Event) -> YAMLNode {
        YAMLNode(content: content, position: event.position, end: event.end, style: .scalar, count: 1)
    }

    private mutating func count(_ more: Int, _ event: YAMLEvents.Event) throws(YAMLError) {
        nodeCount += more
        guard nodeCount <= YAMLLimits.nodes else {
            throw YAMLError(
                "with its aliases written out the document has more than \(YAMLLimits.nodes) values", at: event.position
            )
        }
    }

    private mutating func sequence(_ event: YAMLEvents.Event, _ depth: Int) throws(YAMLError) -> YAMLNode {
        var items: [YAMLNode] = []
        var total = 1
        while true {
            let next = try events.next()
            if case .sequenceEnd = next.kind {
                return YAMLNode(
                    content: .sequence(items), position: event.position, end: next.end,
                    style: event.isFlow ? .flow : .block, count: total)
            }
            let item = try node(next, depth: depth + 1)
            total += item.count
            items.append(item)
        }
    }

    private mutating func mapping(_ event: YAMLEvents.Event, _ depth: Int) throws(YAMLError) -> YAMLNode {
        var entries = Entries()
        var total = 1
        while true {
            let next = try events.next()
            if case .mappingEnd = next.kind {
                return YAMLNode(
                    content: .mapping(entries.list), position: event.position, end: next.end,
                    style: event.isFlow ? .flow : .block, count: total)
            }
            let key = try key(next, depth: depth + 1)
            let value = try node(try events.next(), depth: depth + 1)
            total += value.count + 1
            if let key {
                try entries.insert(key, next.position, value)
            } else {
                try entries.merge(value, next.position)
            }
        }
    }

    /// The text of a key; nil for a merge key.
    private mutating func key(_ event: YAMLEvents.Event, depth: Int) throws(YAMLError) -> String? {
        if case .scalar("<<", true) = event.kind { return nil }
        let node = try node(event, depth: depth)
        guard case .scalar(let value) = node.content else {
            throw YAMLError("a key is \(node.value.kindName); Kubernetes takes only text", at: event.position)
        }
        switch value {
        case .string(let text), .number(let text): return text
        case .bool(let flag): return "\(flag)"
        case .null, .array, .object:
            throw YAMLError("a key is empty; put text before the colon, or quote it", at: event.position)
        }
    }
}

/// The entries of a mapping while it is read.
private struct Entries {
    private(set) var list: [YAMLNode.Entry] = []
    private var places: [String: Int] = [:]

    mutating func insert(_ key: String, _ position: YAMLPosition, _ value: YAMLNode) throws(YAMLError) {
        let entry = YAMLNode.Entry(key: key, keyPosition: position, value: value, isMerged: false)
        guard let place = places[key] else {
            places[key] = list.count
            list.append(entry)
            return
        }
        guard list[place].isMerged else {
            throw YAMLError("the key \"\(key)\" is there twice; remove one", at: position)
        }
        list[place] = entry
    }

    /// What comes later wins, as in Kubernetes' reader; inside a list of mappings what comes first.
    mutating func merge(_ value: YAMLNode, _ position: YAMLPosition) throws(YAMLError) {
        switch value.content {
        case .mapping(let entries):
            for var entry in entries {
                entry.isMerged = true
                if let place = places[entry.key] {
                    list[place] = entry
                } else {
                    places[entry.key] = list.count
                    list.append(entry)
                }
            }
        case .sequence(let items):
            for item in items.reversed() {
                guard case .mapping = item.content else { throw Entries.wrongMerge(position) }
                try merge(item, position)
            }
        case .scalar: throw Entries.wrongMerge(position)
        }
    }

    private static func wrongMerge(_ position: YAMLPosition) -> YAMLError {
        YAMLError("the merge key << takes a mapping or a list of mappings", at: position)
    }
}
