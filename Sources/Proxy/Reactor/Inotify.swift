import CLinux

/// Which directories are watched, and for what (inotify(7)).
struct WatchRequest: Equatable {
    let path: String
    /// Only what happens to this entry matters; nil for every entry.
    let entry: String?
}

/// Changes of directories as events of a reactor.
///
/// It tells that something has changed, not what: whoever watches looks for himself, since by the time he does more
/// may have changed.
final class Inotify: EventHandler {
    private let descriptor: Descriptor
    private let changed: (Change) -> Void
    /// By the kernel's number of a watch.
    private var watches: [CInt: Interest] = [:]

    /// What kind of change it was.
    enum Change {
        /// A file is there, gone or closed by its writer.
        case whole
        /// A writer is at work and may not be done.
        case partial
    }

    private enum Interest {
        case everything
        case entries(Set<String>)

        init(_ entry: String?) { self = entry.map { .entries([$0]) } ?? .everything }

        func joined(_ other: Interest) -> Interest {
            switch (self, other) {
            case (.entries(let mine), .entries(let others)): .entries(mine.union(others))
            case (.everything, _), (_, .everything): .everything
            }
        }

        /// - Parameter entry: empty for the directory itself.
        func covers(_ entry: String) -> Bool {
            switch self {
            case .everything: true
            case .entries(let names): entry.isEmpty || names.contains(entry)
            }
        }
    }

    private static let ofEntries = UInt32(
        IN_MODIFY | IN_CLOSE_WRITE | IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_ATTRIB)
    private static let ofItself = UInt32(IN_DELETE_SELF | IN_MOVE_SELF)

    init(in reactor: Reactor, changed: @escaping (Change) -> Void) throws(SystemError) {
        descriptor = Descriptor(owning: try SystemError.check("inotify_init1", linux_inotify()))
        self.changed = changed
        super.init()
        try reactor.register(self, descriptor.raw, .readable)
    }

    /// Watches exactly these; what does not exist is left out. Watches that stand already miss nothing.
    func watch(_ requests: [WatchRequest]) {
        var wanted: [CInt: Interest] = [:]
        for request in requests {
            let watch = unsafe linux_inotify_add(descriptor.raw, request.path, Inotify.ofEntries | Inotify.ofItself)
            guard watch >= 0 else { continue }
            // Two paths may lead to one directory, which has one watch.
            let interest = Interest(request.entry)
            wanted[watch] = wanted[watch]?.joined(interest) ?? interest
        }
        // One that is gone with its directory cannot be removed, and need not be.
        for watch in watches.keys where wanted[watch] == nil { _ = linux_inotify_remove(descriptor.raw, watch) }
        watches = wanted
    }

    override func ready(_ readiness: Readiness) {
        var buffer = [UInt8](repeating: 0, count: 16_384)
        var last: Change?
        while true {
            let count = unsafe linux_inotify_read(descriptor.raw, &buffer, buffer.count)
            guard count > 0 else { break }
            last = change(in: buffer, count: Int(count)) ?? last
        }
        if let last { changed(last) }
    }

    /// The last that matters: a writer that has closed its file is done, whatever came before.
    private func change(in events: [UInt8], count: Int) -> Change? {
        var offset = 0
        var found: Change?
        unsafe events.withUnsafeBytes { bytes in
            var (watch, kinds): (CInt, UInt32) = (0, 0)
            var name: UnsafePointer<CChar>?
            while case let next = unsafe linux_inotify_event(bytes.baseAddress, count, offset, &watch, &kinds, &name),
                next > 0
            {
                offset = next
                let entry = unsafe name.map { unsafe String(cString: $0) } ?? ""
                if matters(watch, kinds, entry) { found = kinds & UInt32(IN_MODIFY) == 0 ? .whole : .partial }
            }
        }
        return found
    }

    private func matters(_ watch: CInt, _ kinds: UInt32, _ entry: String) -> Bool {
        if kinds & UInt32(IN_Q_OVERFLOW) != 0 { return true }
        return watches[watch]?.covers(entry) ?? false
    }
}
