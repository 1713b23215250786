/// What to watch so that no change of the certificate directories goes unseen.
enum WatchPlan {
    /// For each directory: itself, the version that `..data` leads to, and every directory on the way to it, for the one
    /// entry that leads on. So one that is made, moved or linked later is found, however deep.
    ///
    /// The way comes first, top down: what appears while the watches are set is seen by the one before it.
    static func requests(_ directories: [String]) -> [WatchRequest] {
        var requests: [WatchRequest] = []
        for directory in directories {
            var path = directory.hasPrefix("/") ? "/" : "."
            for step in directory.split(separator: "/") {
                requests.append(WatchRequest(path: path, entry: String(step)))
                path = path == "/" ? "/\(step)" : "\(path)/\(step)"
            }
            requests.append(WatchRequest(path: path, entry: nil))
            requests.append(WatchRequest(path: "\(path)/..data", entry: nil))
        }
        return requests
    }
}
