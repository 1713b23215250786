/// Whether the kernel is new enough.
enum KernelCheck {
    static func findings(_ facts: SystemFacts, _ expectation: Doctor.Expectation) -> [Diagnosis] {
        guard expectation.isTransparent else { return [] }
        guard let kernel = facts.kernel else {
            return [.unknown(.kernel, "the kernel's version cannot be read", fix: "look at `uname -r` on the node")]
        }
        let name = "Linux \(kernel.major).\(kernel.minor)"
        if kernel < KernelVersion(5, 10) {
            return [.problem(.kernel, "\(name) is too old for the capture rules", fix: "use Linux 5.17 or newer")]
        }
        if kernel < KernelVersion(5, 17) {
            return [
                .problem(
                    .kernel, "\(name) lets only NET_ADMIN mark sockets, and the proxy marks each of its own",
                    fix: "use Linux 5.17 or newer, or give the proxy NET_ADMIN instead of NET_RAW")
            ]
        }
        return [.ok(.kernel, "\(name) has what capture needs")]
    }
}
