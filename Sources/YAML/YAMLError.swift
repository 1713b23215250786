/// Why bytes are no YAML that can be used, and where.
package struct YAMLError: Error, Equatable {
    package let position: YAMLPosition
    /// A sentence without its full stop.
    package let reason: String

    package init(_ reason: String, at position: YAMLPosition) {
        self.reason = reason
        self.position = position
    }

    package var sentence: String { "line \(position.line), column \(position.column): \(reason)" }
}

/// A place in a text, counted from 1 as editors do.
package struct YAMLPosition: Equatable, Sendable {
    package var line: Int
    package var column: Int

    package init(line: Int, column: Int) {
        self.line = line
        self.column = column
    }
}
