/// One step of a JSON Patch (RFC 6902): the three kinds that this program makes.
package enum PatchOperation: Equatable, Sendable {
    case add(JSONPointer, ManifestValue)
    case replace(JSONPointer, ManifestValue)
    case remove(JSONPointer)

    package var path: JSONPointer {
        switch self {
        case .add(let path, _), .replace(let path, _), .remove(let path): path
        }
    }

    /// As RFC 6902 writes it.
    package var json: ManifestValue {
        let path = ManifestValue.string(path.description)
        return switch self {
        case .add(_, let value): ["op": "add", "path": path, "value": value]
        case .replace(_, let value): ["op": "replace", "path": path, "value": value]
        case .remove: ["op": "remove", "path": path]
        }
    }
}

/// An operation that does not fit the document it was applied to.
package struct PatchError: Error, Equatable {
    package let path: JSONPointer

    package init(path: JSONPointer) {
        self.path = path
    }
}

extension ManifestValue {
    /// Applies one operation.
    package mutating func apply(_ operation: PatchOperation) throws(PatchError) {
        switch operation {
        case .add(let path, let value): try edit(path, path.tokens[...], .add(value))
        case .replace(let path, let value): try edit(path, path.tokens[...], .replace(value))
        case .remove(let path): try edit(path, path.tokens[...], .remove)
        }
    }

    package func applying(_ operations: [PatchOperation]) throws(PatchError) -> ManifestValue {
        var result = self
        for operation in operations { try result.apply(operation) }
        return result
    }

    private enum Edit { case add(ManifestValue), replace(ManifestValue), remove }

    private mutating func edit(_ path: JSONPointer, _ rest: ArraySlice<String>, _ edit: Edit) throws(PatchError) {
        guard let token = rest.first else {
            switch edit {
            case .add(let value), .replace(let value): self = value
            case .remove: throw PatchError(path: path)
            }
            return
        }
        switch self {
        case .object(var object):
            self = .null  // so that the members are not copied
            if rest.count == 1 {
                switch edit {
                case .add(let value): object[token] = value
                case .replace(let value):
                    guard object[token] != nil else { throw PatchError(path: path) }
                    object[token] = value
                case .remove:
                    guard object[token] != nil else { throw PatchError(path: path) }
                    object[token] = nil
                }
            } else {
                guard var member = object[token] else { throw PatchError(path: path) }
                try member.edit(path, rest.dropFirst(), edit)
                object[token] = member
            }
            self = .object(object)
        case .array(var items):
            self = .null
            guard let index = token == "-" ? items.count : Int(token), index >= 0 else { throw PatchError(path: path) }
            if case .add(let value) = edit, rest.count == 1 {
                guard index <= items.count else { throw PatchError(path: path) }
                items.insert(value, at: index)
            } else {
                guard index < items.count else { throw PatchError(path: path) }
                if case .remove = edit, rest.count == 1 {
                    items.remove(at: index)
                } else {
                    try items[index].edit(path, rest.dropFirst(), edit)
                }
            }
            self = .array(items)
        case .null, .bool, .number, .string: throw PatchError(path: path)
        }
    }
}
