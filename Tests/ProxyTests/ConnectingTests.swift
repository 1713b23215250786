import Addressing
import Glibc
import Testing

@testable import Proxy

/// Channels that connect: to real listeners on loopback, by names that the test answers for.
@Suite struct ConnectingTests {
    private final class Watcher: ChannelUser {
        let reactor: Reactor
        var opened = 0
        var failures: [String] = []

        init(_ reactor: Reactor) { self.reactor = reactor }

        override func channelOpened(_ channel: Channel) {
            opened += 1
            reactor.stop()
        }

        override func channelFailed(_ channel: Channel, _ error: ChannelError) {
            failures.append(error.sentence)
            channel.close()
            reactor.stop()
        }
    }

    private final class Scene {
        let reactor: Reactor
        let watcher: Watcher
        let listener: Descriptor
        let live: Endpoint
        /// A port that was free a moment ago.
        let dead: Endpoint
        let timeouts = ConnectTimeouts(connect: 10_000_000, handshake: 10_000_000)

        init() throws {
            reactor = try Reactor()
            watcher = Watcher(reactor)
            listener = try Socket.listen(on: Endpoint(.loopbackV4, 0), .init())
            live = try Socket.localName(of: listener.raw)
            let fleeting = try Socket.listen(on: Endpoint(.loopbackV4, 0), .init())
            dead = try Socket.localName(of: fleeting.raw)
        }

        func connect(_ target: ConnectTarget) throws(ChannelError) -> Channel {
            let channel = try Channel(connectingTo: target, in: reactor)
            channel.user = watcher
            return channel
        }

        func byName(_ names: NameClient, connect limit: Int64 = 10_000_000) -> ConnectTarget {
            ConnectTarget(
                destination: .host("web", port: live.port, names),
                timeouts: ConnectTimeouts(connect: limit, handshake: limit))
        }

        func received(_ count: Int) -> [UInt8] {
            guard case .connection(let accepted, _) = Socket.accept(from: listener) else { return [] }
            var bytes = [UInt8](repeating: 0, count: count)
            let got = unsafe recv(accepted.raw, &bytes, count, 0)
            return Array(bytes.prefix(max(0, got)))
        }
    }

    @Test func theFirstAddressThatAnswersIsTaken() throws {
        let scene = try Scene()
        let channel = try scene.connect(
            ConnectTarget(endpoints: [scene.dead, scene.live], timeouts: scene.timeouts))
        _ = channel.write([1, 2, 3].span)
        scene.reactor.run()
        #expect(scene.watcher.opened == 1)
        #expect(channel.remote == scene.live)
        #expect(scene.received(10) == [1, 2, 3])
    }

    @Test func theLastAddressSaysWhyNoneAnswered() throws {
        let scene = try Scene()
        let channel = try scene.connect(ConnectTarget(endpoints: [scene.dead, scene.dead], timeouts: scene.timeouts))
        scene.reactor.run()
        #expect(scene.watcher.failures == ["connect to \(scene.dead) failed: Connection refused"])
        #expect(channel.phase == .closed)
    }

    @Test func aNameIsWaitedForAndItsBytesToo() throws {
        let scene = try Scene()
        var asked: [String] = []
        let names = NameClient(in: scene.reactor) { asked.append($0) }
        let channel = try scene.connect(scene.byName(names))
        _ = channel.write([7].span)
        #expect(asked == ["web"])
        #expect(channel.phase == .connecting)
        names.answered("web", [.loopbackV4])
        scene.reactor.run()
        #expect(channel.remote == scene.live)
        #expect(scene.received(10) == [7])
    }

    @Test func aNameWithoutAddressFailsLaterThenAtOnce() throws {
        let scene = try Scene()
        let names = NameClient(in: scene.reactor) { _ in }
        _ = try scene.connect(scene.byName(names))
        names.answered("web", [])
        #expect(scene.watcher.failures == ["web has no address"])
        do throws(ChannelError) {
            _ = try scene.connect(scene.byName(names))
            Issue.record("a failure that is known was looked up again")
        } catch {
            #expect(error.sentence == "web has no address")
        }
    }

    @Test func anAnswerThatIsLateIsKeptForTheNext() throws {
        let scene = try Scene()
        let names = NameClient(in: scene.reactor) { _ in }
        _ = try scene.connect(scene.byName(names, connect: 1_000))
        scene.reactor.run()
        #expect(scene.watcher.failures == ["looking up web took too long"])
        names.answered("web", [.loopbackV4])
        #expect(scene.watcher.opened == 0)
    }

    @Test func aChannelClosedWhileItsNameIsLookedUpStaysClosed() throws {
        let scene = try Scene()
        let names = NameClient(in: scene.reactor) { _ in }
        let closed = try scene.connect(scene.byName(names))
        let waiting = try scene.connect(scene.byName(names))
        closed.close()
        names.answered("web", [.loopbackV4])
        scene.reactor.run()
        #expect(closed.phase == .closed)
        #expect(waiting.isOpen)
        #expect(scene.watcher.opened == 1)
    }

    @Test func thisMachineIsNotDialledOnItsOwnPorts() throws {
        let scene = try Scene()
        for address in [IPAddress.loopbackV4, .loopbackV6, .anyV4, .anyV6, IPAddress(v4: 0x7f01_0203)] {
            var target = ConnectTarget(endpoints: [Endpoint(address, scene.live.port)], timeouts: scene.timeouts)
            target.isOwnPort = true
            do throws(ChannelError) {
                _ = try scene.connect(target)
                Issue.record("\(address) was dialled")
            } catch {
                #expect(error.sentence.hasSuffix("is this proxy itself"))
            }
        }
    }

    @Test func aStrangersAddressIsNotLocal() {
        #expect(!LocalAddresses.contain(IPAddress(v4: 0xc000_0201)))
        #expect(LocalAddresses.contain(.loopbackV4))
    }
}
