extension ManifestValue {
    /// The operations that turn this value into another.
    package func operations(to new: ManifestValue) -> [PatchOperation] {
        var operations: [PatchOperation] = []
        collect(to: new, at: JSONPointer(), into: &operations)
        return operations
    }

    private func collect(to new: ManifestValue, at path: JSONPointer, into operations: inout [PatchOperation]) {
        switch (self, new) {
        case (.object(let old), .object(let new)):
            let (oldValues, newValues) = (old.dictionary, new.dictionary)
            for member in old.members where newValues[member.key] == nil {
                operations.append(.remove(path.appending(member.key)))
            }
            for member in new.members {
                if let value = oldValues[member.key] {
                    value.collect(to: member.value, at: path.appending(member.key), into: &operations)
                } else {
                    operations.append(.add(path.appending(member.key), member.value))
                }
            }
        case (.array(let old), .array(let new)):
            var index = 0
            for step in Alignment(old, new).steps {
                switch step {
                case .kept(let left, let right):
                    old[left].collect(to: new[right], at: path.appending(index), into: &operations)
                    index += 1
                case .removed: operations.append(.remove(path.appending(index)))
                case .added(let right):
                    operations.append(.add(path.appending(index), new[right]))
                    index += 1
                }
            }
        case _:
            if self != new { operations.append(.replace(path, new)) }
        }
    }
}
