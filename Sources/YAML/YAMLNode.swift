package import Manifest

/// A value of a YAML document, and where in the text it stands.
package struct YAMLNode: Sendable {
    package enum Content: Sendable {
        case scalar(ManifestValue)
        case sequence([YAMLNode])
        case mapping([Entry])
    }

    package struct Entry: Sendable {
        package var key: String
        package var keyPosition: YAMLPosition
        package var value: YAMLNode
        /// Came by a merge key (`<<`), from somewhere else in the text.
        package var isMerged: Bool
    }

    package var content: Content
    package var position: YAMLPosition
    /// Where it ends. Of a sequence or mapping in block style this is where the next thing begins.
    package var end: YAMLPosition
    package var style: Style
    /// How many nodes it is made of, itself included, with aliases written out.
    package var count: Int

    package enum Style: Sendable {
        /// By indentation.
        case block
        /// In brackets.
        case flow
        /// A scalar.
        case scalar
        /// An alias: the position is that of what it stands for.
        case alias
    }

    /// What the document means, without places.
    package var value: ManifestValue {
        switch content {
        case .scalar(let value): value
        case .sequence(let items): .array(items.map(\.value))
        case .mapping(let entries):
            .object(ManifestObject(unique: entries.map { .init(key: $0.key, value: $0.value.value) }))
        }
    }

    /// The member of a mapping.
    package subscript(key: String) -> YAMLNode? {
        guard case .mapping(let entries) = content else { return nil }
        return entries.first { $0.key == key }?.value
    }
}
