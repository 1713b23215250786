import CLinux
import Synchronization

/// Messages from any thread to the one that owns a reactor: immutable values in a queue, an eventfd to wake it.
package final class Mailbox<Message: Sendable>: Sendable {
    private let queue = Mutex<[Message]>([])
    fileprivate let wakeUp: Descriptor

    package init() throws(SystemError) {
        wakeUp = Descriptor(owning: try SystemError.check("eventfd", linux_eventfd()))
    }

    package func send(_ message: Message) {
        queue.withLock { $0.append(message) }
        // The counter is full only when two to the power of 64 messages wait; then the reader is awake anyway.
        _ = linux_eventfd_signal(wakeUp.raw)
    }

    fileprivate func takeAll() -> [Message] {
        _ = linux_eventfd_clear(wakeUp.raw)
        return queue.withLock { waiting in
            let messages = waiting
            waiting = []
            return messages
        }
    }
}

/// The receiving end of a mailbox in its reactor.
package final class MailboxReader<Message: Sendable>: EventHandler {
    private let mailbox: Mailbox<Message>
    private let receive: (Message) -> Void

    package init(
        _ mailbox: Mailbox<Message>, in reactor: Reactor, receive: @escaping (Message) -> Void
    ) throws(SystemError) {
        self.mailbox = mailbox
        self.receive = receive
        super.init()
        try reactor.register(self, mailbox.wakeUp.raw, .readable)
    }

    override func ready(_ readiness: Readiness) {
        for message in mailbox.takeAll() { receive(message) }
    }
}
