/// A place in a document (RFC 6901). The end of an array is the token `-`.
package struct JSONPointer: Equatable, Hashable, Sendable, CustomStringConvertible {
    package var tokens: [String]

    package init(_ tokens: [String] = []) {
        self.tokens = tokens
    }

    package func appending(_ token: String) -> JSONPointer { JSONPointer(tokens + [token]) }
    package func appending(_ index: Int) -> JSONPointer { appending("\(index)") }

    /// As RFC 6901 writes it, with `~` and `/` escaped.
    package var description: String {
        tokens.map { "/" + JSONPointer.escaped($0) }.joined()
    }

    private static func escaped(_ token: String) -> String {
        var result = ""
        for scalar in token.unicodeScalars {
            switch scalar {
            case "~": result += "~0"
            case "/": result += "~1"
            case _: result.unicodeScalars.append(scalar)
            }
        }
        return result
    }
}
