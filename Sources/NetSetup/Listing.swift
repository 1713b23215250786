import CNetfilter

/// What the kernel holds of the sidecar's table.
enum Listing {
    struct Entry {
        /// The chain.
        let name: String
        let text: String
    }

    static func chains() throws(NetSetupError) -> [Entry] {
        unsafe try collect { unsafe nf_list_chains(CapturePlan.table, $0, $1) }
    }

    static func rules() throws(NetSetupError) -> [Entry] {
        unsafe try collect { unsafe nf_list_rules(CapturePlan.table, $0, $1) }
    }

    private typealias Found =
        @convention(c) (UnsafeMutableRawPointer?, UnsafePointer<CChar>?, UnsafePointer<CChar>?) -> Void

    private final class Collection { var entries: [Entry] = [] }

    private static func collect(
        _ list: (@escaping Found, UnsafeMutableRawPointer) -> CInt
    ) throws(NetSetupError) -> [Entry] {
        let collection = Collection()
        // Borrowed for the length of the call: `collection` outlives it.
        let context = unsafe Unmanaged.passUnretained(collection).toOpaque()
        let result = unsafe list(
            { context, name, text in
                guard let context = unsafe context, let name = unsafe name, let text = unsafe text else { return }
                let collection = unsafe Unmanaged<Collection>.fromOpaque(context).takeUnretainedValue()
                collection.entries.append(unsafe Entry(name: String(cString: name), text: String(cString: text)))
            }, context)
        try check("read the table inet \(CapturePlan.table)", result)
        return withExtendedLifetime(collection) { collection.entries }
    }
}
