/// Why the process cannot start or go on: sentences that each name a variable, file or capability.
package struct FatalError: Error, CustomStringConvertible {
    /// As in sysexits.h: what a caller can act on.
    package enum ExitCode: Int32, Sendable {
        case failed = 1
        case usage = 2
        case temporaryFailure = 75
        case noPermission = 77
    }

    package let sentences: [String]
    package let exitCode: ExitCode

    package init(_ sentence: String, exitCode: ExitCode = .failed) {
        self.init([sentence], exitCode: exitCode)
    }

    package init(_ sentences: [String], exitCode: ExitCode = .failed) {
        self.sentences = sentences
        self.exitCode = exitCode
    }

    package var description: String { sentences.joined(separator: "; ") }
}
