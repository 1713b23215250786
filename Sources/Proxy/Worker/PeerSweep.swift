import CLinux
import Logging

/// Ends connections whose peer would be refused by now: its certificate has expired, or its trust anchor was removed.
///
/// A connection is ended gently, as in a drain: `Connection: close`, GOAWAY; whatever is left after
/// SHUTDOWN_TIMEOUT_SECS is cut. Looking costs a comparison per connection now and then; only after an anchor was removed
/// are chains looked at, and that in slices, so that neither this worker nor the peers that come back are overwhelmed.
final class PeerSweep {
    private unowned let worker: Worker
    private let timer = Deadline()
    private let graceMicroseconds: Int64
    /// What is left to look at in this pass.
    private var rest: ArraySlice<Channel> = []
    /// Anchors that peers must lead to, as DER, by the side that this process has in the connection.
    private var serverAnchors: Set<[UInt8]> = []
    private var clientAnchors: Set<[UInt8]> = []
    /// Passes that begin before then look at chains: a handshake that began under the old trust may end a little later.
    private var looksAtChainsUntil = Int64.min
    private var looksAtChains = false
    /// When the first of those that are ending is cut.
    private var nextCut = Int64.max
    private var endedInPass = (expired: 0, distrusted: 0, cut: 0)

    static let passMicroseconds: Int64 = 5_000_000
    static let sliceMicroseconds: Int64 = 100_000
    /// Chains verified or connections ended in one slice: a few milliseconds of work, and some three hundred peers a
    /// second that must shake hands again.
    static let endsPerSlice = 32
    /// Trust anchors looked up in the time that one chain takes to verify.
    static let looksPerEnd = 8

    init(_ worker: Worker) throws(SystemError) {
        self.worker = worker
        graceMicroseconds = Int64(worker.configuration.timeouts.shutdown) * 1_000_000
        try timer.attach(to: worker.reactor)
        timer.action = { [unowned self] in slice() }
        timer.set(after: PeerSweep.passMicroseconds)
    }

    /// Anchors were removed: every peer must lead to one of those that are left.
    func anchorsRemoved(_ material: TLSMaterial) {
        serverAnchors = Set(material.serverTrust)
        clientAnchors = Set(material.clientTrust)
        looksAtChainsUntil = worker.now + worker.timeouts.handshake + PeerSweep.passMicroseconds
        rest = []
        slice()
    }

    private func slice() {
        if rest.isEmpty {
            rest = worker.channels[...]
            nextCut = .max
            looksAtChains = worker.now < looksAtChainsUntil
        }
        let wallSeconds = linux_wall_microseconds() / 1_000_000
        var budget = PeerSweep.endsPerSlice * PeerSweep.looksPerEnd
        while budget > 0, let channel = rest.popFirst() { budget -= judge(channel, wallSeconds) }
        guard rest.isEmpty else { return timer.set(after: PeerSweep.sliceMicroseconds) }
        rest = []  // an empty slice would hold on to all that it once had
        passEnded()
        timer.set(after: min(PeerSweep.passMicroseconds, max(PeerSweep.sliceMicroseconds, nextCut - worker.now)))
    }

    /// Answers what that cost, in looks.
    private func judge(_ channel: Channel, _ wallSeconds: Int64) -> Int {
        // Who has been told goodbye only reads what the peer still sends.
        guard channel.isOpen, channel.isTLS, !(channel.user is LingeringClose) else { return 0 }
        if channel.isEnding {
            guard channel.endsAt <= worker.now else {
                nextCut = min(nextCut, channel.endsAt)
                return 0
            }
            endedInPass.cut += 1
            worker.counters.peersCut += 1
            channel.giveUp(.peerOutlived)
            return PeerSweep.looksPerEnd
        }
        if channel.peerExpiry < wallSeconds {
            endedInPass.expired += 1
            worker.counters.peersExpired += 1
            end(channel)
            return PeerSweep.looksPerEnd
        }
        guard looksAtChains else { return 0 }
        let (anchors, context) =
            channel.isAccepted
            ? (serverAnchors, worker.serverContext) : (clientAnchors, worker.clientContext?.context)
        if let anchor = channel.peerAnchor, anchors.contains(anchor) { return 1 }
        // Another anchor may vouch for it: a renewed one with the same key, or a second authority.
        if let context, channel.peerIsTrusted(by: context) { return PeerSweep.looksPerEnd }
        endedInPass.distrusted += 1
        worker.counters.peersDistrusted += 1
        end(channel)
        return PeerSweep.looksPerEnd
    }

    private func end(_ channel: Channel) {
        let time = worker.now + graceMicroseconds
        nextCut = min(nextCut, time)
        channel.end(at: time)
    }

    private func passEnded() {
        defer { endedInPass = (0, 0, 0) }
        guard endedInPass != (0, 0, 0) else { return }
        worker.logger.info(
            "connections ended whose peer would be refused by now",
            metadata: [
                "expired": "\(endedInPass.expired)", "trust_anchor_removed": "\(endedInPass.distrusted)",
                "cut_after_grace": "\(endedInPass.cut)",
            ])
    }
}
