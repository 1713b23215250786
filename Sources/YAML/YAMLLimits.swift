/// What one document may be at most: well above what Kubernetes takes (1.5 MiB an object), and small enough that no file
/// makes the reader use much time or memory.
package enum YAMLLimits {
    package static let bytes = 16 << 20
    /// Lists and mappings in one another.
    package static let depth = 100
    /// Values in one document, with every alias written out: an alias of aliases grows without bound.
    package static let nodes = 500_000
}
