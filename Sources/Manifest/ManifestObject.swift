/// Members by name, in the order in which they were given.
package struct ManifestObject: Sendable {
    package struct Member: Equatable, Sendable {
        package var key: String
        package var value: ManifestValue

        package init(key: String, value: ManifestValue) {
            self.key = key
            self.value = value
        }
    }

    package private(set) var members: [Member] = []

    package init() {}

    /// A name that comes twice takes its last value. For objects of few members.
    package init(_ members: [(String, ManifestValue)]) {
        for (key, value) in members { self[key] = value }
    }

    /// For readers, which see to it that no name comes twice.
    package init(unique members: [Member]) {
        self.members = members
    }

    package var isEmpty: Bool { members.isEmpty }
    package var count: Int { members.count }
    package var keys: [String] { members.map(\.key) }

    /// By search: most objects in manifests have few members.
    package subscript(key: String) -> ManifestValue? {
        get { members.first { $0.key == key }?.value }
        set {
            let position = members.firstIndex { $0.key == key }
            switch (position, newValue) {
            case (.some(let position), .some(let value)): members[position].value = value
            case (.some(let position), .none): members.remove(at: position)
            case (.none, .some(let value)): members.append(Member(key: key, value: value))
            case (.none, .none): break
            }
        }
    }
}

extension ManifestObject: Equatable {
    /// The order of members means nothing.
    package static func == (left: ManifestObject, right: ManifestObject) -> Bool {
        guard left.count == right.count else { return false }
        if zip(left.members, right.members).allSatisfy({ $0.key == $1.key }) { return left.members == right.members }
        let values = right.dictionary
        return left.members.allSatisfy { values[$0.key] == $0.value }
    }

    /// For those who look at every member: an object that a stranger sends may have hundreds of thousands.
    package var dictionary: [String: ManifestValue] {
        Dictionary(members.map { ($0.key, $0.value) }) { _, last in last }
    }
}

extension ManifestObject: ExpressibleByDictionaryLiteral {
    package init(dictionaryLiteral members: (String, ManifestValue)...) { self.init(members) }
}
