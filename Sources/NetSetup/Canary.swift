import CNetfilter

/// A datagram that the capture rules refuse: who may not read nftables learns from it whether they are in force.
///
/// The kernel tells a sender at once that a rule of the hook `output` has dropped its packet. Nothing leaves this host:
/// the datagram goes from a socket to itself.
enum Canary {
    enum Answer {
        case refused, passed
        /// It could not be sent: the capability NET_RAW is missing, or another rule refuses all datagrams.
        case unknown
    }

    static func send(_ plan: CapturePlan) -> Answer {
        switch nf_canary(plan.captureMark.value) {
        case 1: .refused
        case 0: .passed
        case _: .unknown
        }
    }
}
