import Addressing

/// A worker's way from names to addresses: at once what is known, later what must be asked.
final class NameClient {
    typealias Waiter = ([IPAddress]) -> Void

    private let reactor: Reactor
    private let ask: (String) -> Void
    private var cache = NameCache<Waiter>()

    /// - Parameter ask: has a name looked up elsewhere; `answered` is to follow, never before it returns.
    init(in reactor: Reactor, ask: @escaping (String) -> Void) {
        self.reactor = reactor
        self.ask = ask
    }

    /// The addresses of a name or of an address; nil when `then` will hear of them.
    func addresses(of host: String, then waiter: @escaping Waiter) -> [IPAddress]? {
        if let fixed = Resolver.fixed(host) { return fixed }
        if let known = cache.addresses(of: host, at: reactor.now) { return known }
        if cache.wait(for: host, waiter) { ask(host) }
        return nil
    }

    func answered(_ host: String, _ addresses: [IPAddress]) {
        for waiter in cache.answered(host, addresses, at: reactor.now) { waiter(addresses) }
    }
}
