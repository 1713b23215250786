import CLinux
package import Logging

/// What a process of services gives up before it starts: privileges, files, system calls (docs/security.md).
package enum ServiceFence {
    /// Call it before any thread starts.
    ///
    /// - Parameter readable: directories that are read later, beside those of the system's libraries.
    package static func enter(readable: [String], isSandboxed: Bool, _ logger: Logger) throws(FatalError) {
        // Root stays root, without a capability: the files it was given may be open to nobody else.
        try system { () throws(SystemError) in try Privileges.drop(keepingNetRaw: false, becoming: nil) }
        if isSandboxed { Sandbox.enter(Sandbox.readablePaths(of: readable), logger) }
    }
}
