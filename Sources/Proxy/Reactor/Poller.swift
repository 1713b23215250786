import CLinux
import Glibc

/// The events a handler asks for, and the ones it gets (epoll_ctl(2)).
struct Readiness: OptionSet {
    let rawValue: UInt32

    static let readable = Readiness(rawValue: EPOLLIN.rawValue)
    static let writable = Readiness(rawValue: EPOLLOUT.rawValue)
    static let hangUp = Readiness(rawValue: EPOLLHUP.rawValue)
    static let error = Readiness(rawValue: EPOLLERR.rawValue)
    /// One waiter of several is woken: for listeners that the workers share.
    static let exclusive = Readiness(rawValue: EPOLLEXCLUSIVE.rawValue)
}

/// One epoll instance. Level-triggered: what is not read is reported again.
struct Poller: ~Copyable {
    private let epoll: Descriptor
    private var events: [linux_event]

    init() throws(SystemError) {
        epoll = Descriptor(owning: try SystemError.check("epoll_create1", linux_epoll_create()))
        events = [linux_event](repeating: linux_event(), count: Int(LINUX_EVENTS_PER_WAIT))
    }

    func add(_ descriptor: CInt, _ interest: Readiness, token: UInt64) throws(SystemError) {
        try SystemError.check("epoll_ctl", linux_epoll_add(epoll.raw, descriptor, interest.rawValue, token))
    }

    func modify(_ descriptor: CInt, _ interest: Readiness, token: UInt64) {
        let result = linux_epoll_modify(epoll.raw, descriptor, interest.rawValue, token)
        precondition(result == 0, "epoll_ctl MOD on a descriptor that is not registered")
    }

    func remove(_ descriptor: CInt) {
        let result = linux_epoll_remove(epoll.raw, descriptor)
        precondition(result == 0, "epoll_ctl DEL on a descriptor that is not registered")
    }

    /// Waits for events; answers how many there are. A signal counts as none.
    mutating func wait(milliseconds: CInt) -> Int {
        let count = unsafe events.withUnsafeMutableBufferPointer {
            unsafe linux_epoll_wait(epoll.raw, $0.baseAddress, milliseconds)
        }
        precondition(count >= 0 || count == -EINTR, "epoll_wait on a descriptor that is no epoll")
        return max(0, Int(count))
    }

    func event(_ index: Int) -> (token: UInt64, readiness: Readiness) {
        (events[index].token, Readiness(rawValue: events[index].events))
    }
}
