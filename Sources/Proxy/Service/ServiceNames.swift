import Addressing

/// Names looked up for one reactor, by threads that may block.
package final class ServiceNames {
    private typealias Answer = (name: String, addresses: [IPAddress])

    private let reader: MailboxReader<Answer>
    let client: NameClient

    package init(in reactor: Reactor) throws(SystemError) {
        let service = try NameService()
        let mailbox = try Mailbox<Answer>()
        let client = NameClient(in: reactor) { name in
            service.ask(name) { mailbox.send((name, $0)) }
        }
        self.client = client
        reader = try MailboxReader(mailbox, in: reactor) { client.answered($0.name, $0.addresses) }
    }
}
