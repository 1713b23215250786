import Files

/// What to watch so that no change of the certificate directories goes unseen.
struct WatchPlan {
    private(set) var requests: [WatchRequest] = []
    private let target: (String) -> String?
    private var linksLeft = maximumLinks

    /// As many as the kernel follows in one path (path_resolution(7)); a circle must have an end.
    private static let maximumLinks = 40

    /// For each directory: itself, the version that `..data` leads to, and every directory on the way to it, for the one
    /// entry that leads on. So one that is made, moved or linked later is found, however deep. Where a link leads on, to
    /// a directory or to one of the files, the way behind it is watched likewise.
    ///
    /// The way comes first, top down: what appears while the watches are set is seen by the one before it.
    static func requests(
        _ directories: [String], _ files: [String] = [],
        target: @escaping (String) -> String? = SmallFile.target(ofLink:)
    ) -> [WatchRequest] {
        var plan = WatchPlan(target: target)
        for directory in directories {
            let end = plan.follow(directory)
            plan.add(WatchRequest(path: end, entry: nil))
            plan.add(WatchRequest(path: "\(end)/..data", entry: nil))
            for file in files where target("\(end)/\(file)") != nil { _ = plan.follow("\(end)/\(file)") }
        }
        return plan.requests
    }

    private init(target: @escaping (String) -> String?) { self.target = target }

    private mutating func add(_ request: WatchRequest) {
        if !requests.contains(request) { requests.append(request) }
    }

    /// Walks a path from its beginning; answers where it ends, without a link in it.
    private mutating func follow(_ whole: String) -> String {
        linksLeft = WatchPlan.maximumLinks
        var path = whole.hasPrefix("/") ? "/" : "."
        var rest = whole.split(separator: "/").map(String.init)[...]
        while let step = rest.popFirst() {
            if step == "." { continue }
            if step == ".." {
                path = WatchPlan.parent(of: path)
                continue
            }
            add(WatchRequest(path: path, entry: step))
            let next = path == "/" ? "/\(step)" : "\(path)/\(step)"
            guard linksLeft > 0, let target = target(next) else {
                path = next
                continue
            }
            linksLeft -= 1
            if target.hasPrefix("/") { path = "/" }
            rest = (target.split(separator: "/").map(String.init) + rest)[...]
        }
        return path
    }

    private static func parent(of path: String) -> String {
        guard let slash = path.lastIndex(of: "/"), !path.hasSuffix("/..") else { return "\(path)/.." }
        return slash == path.startIndex ? "/" : String(path[..<slash])
    }
}
