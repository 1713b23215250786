import CLinux
import Glibc
import Logging
import Testing

@testable import Proxy

/// Each test that puts fences up does it in a process of its own, since they stay.
@Suite struct SandboxTests {
    @Test func aPathBeneathAnotherAddsNothing() {
        #expect(
            Sandbox.withoutRepetitions(["/usr/lib", "/usr", "/usrlocal", "/a/b", "/a/b"]) == [
                "/a/b", "/usr", "/usrlocal",
            ])
        #expect(Sandbox.withoutRepetitions(["/x", "/", "/y/z"]) == ["/"])
    }

    @Test func aDirectoryThatIsMissingOpensNotAllFiles() {
        for missing in ["/no-such-directory", "/no-such-directory/ca", "/no-such-directory/certs/server"] {
            #expect(!Sandbox.readablePaths(of: [missing]).contains("/"))
        }
        #expect(Sandbox.readablePaths(of: ["/var/no-such-directory/ca"]).contains("/var"))
    }

    @Test func programsAndProcessesCannotBeStarted() async {
        await #expect(processExitsWith: .success) {
            Fences.putUp()
            var arguments: [UnsafeMutablePointer<CChar>?] = [nil]
            precondition(unsafe execv("/bin/false", &arguments) == -1 && errno == EPERM)
            var child = pid_t()
            precondition(unsafe posix_spawn(&child, "/bin/false", nil, nil, &arguments, nil) == EPERM)
        }
    }

    @Test func packetsCannotBeReadOrForged() async {
        await #expect(processExitsWith: .success) {
            Fences.putUp()
            precondition(socket(AF_PACKET, Int32(SOCK_RAW.rawValue), 0) == -1 && errno == EPERM)
            precondition(socket(AF_INET, Int32(SOCK_RAW.rawValue), Int32(IPPROTO_TCP)) == -1 && errno == EPERM)
            precondition(socket(AF_INET6, Int32(SOCK_RAW.rawValue), Int32(IPPROTO_ICMPV6)) == -1 && errno == EPERM)
            let flags = Int32(SOCK_CLOEXEC.rawValue) | Int32(SOCK_NONBLOCK.rawValue)
            for family in [AF_INET, AF_INET6] {
                precondition(socket(family, Int32(SOCK_STREAM.rawValue) | flags, 0) >= 0 || errno == EAFNOSUPPORT)
                precondition(socket(family, Int32(SOCK_DGRAM.rawValue) | flags, 0) >= 0 || errno == EAFNOSUPPORT)
            }
            precondition(socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0) >= 0)
            precondition(socket(AF_NETLINK, Int32(SOCK_RAW.rawValue), 0) >= 0)
        }
    }

    @Test func namespacesMountsAndOtherProcessesAreOutOfReach() async {
        await #expect(processExitsWith: .success) {
            Fences.putUp()
            precondition(Fences.errno(of: "unshare", 0x1000_0000) == EPERM)  // CLONE_NEWUSER, open to everybody
            precondition(Fences.errno(of: "setns", -1) == EPERM)  // before the descriptor is looked at
            precondition(Fences.errno(of: "ptrace", 0) == EPERM)  // PTRACE_TRACEME
            precondition(Fences.errno(of: "personality", 0xffff_ffff) == EPERM)
            precondition(Fences.errno(of: "fanotify_init", 0) == EPERM)
            precondition(Fences.errno(of: "fork", 0) == EPERM)
            precondition(Fences.errno(of: "vfork", 0) == EPERM)
        }
    }

    @Test func threadsCanBeStarted() async {
        await #expect(processExitsWith: .success) {
            Fences.putUp()
            let done = try Mailbox<Int>()
            let thread = try Thread("inside") { done.send(1) }
            thread.join()
        }
    }

    @Test func filesCanBeReadWhereAllowedAndWrittenNowhere() async {
        await #expect(processExitsWith: .success) {
            guard linux_files_begin() >= 0 else { return }  // no Landlock here
            Fences.putUp(reading: ["/etc", "/proc"])
            precondition(unsafe open("/etc/passwd", O_RDONLY) >= 0)
            precondition(unsafe open("/proc/self/status", O_RDONLY) >= 0)
            precondition(unsafe open("/usr/lib/os-release", O_RDONLY) == -1 && errno == EACCES)
            precondition(unsafe open("/etc/passwd", O_RDWR) == -1 && errno == EACCES)
            precondition(unsafe mkdir("/tmp/sidecar-fenced", 0o700) == -1 && errno == EACCES)
            precondition(unsafe mkdir("/etc/sidecar-fenced", 0o700) == -1 && errno == EACCES)
        }
    }

    @Test func namesCanBeLookedUp() async {
        await #expect(processExitsWith: .success) {
            Fences.putUp(reading: ["/etc", "/usr", "/lib", "/proc"])
            precondition(!Resolver.addresses(of: "localhost").isEmpty)
        }
    }
}

private enum Fences {
    static func putUp(reading paths: [String] = ["/"]) {
        precondition(linux_no_new_privileges() == 0)
        Sandbox.enter(paths, Logger(label: "fences") { _ in SwiftLogNoOpLogHandler() })
    }

    /// Makes a call that Swift cannot import; answers its error, 0 for none.
    static func errno(of name: String, _ argument: Int) -> CInt {
        guard let symbol = unsafe dlsym(nil, name) else { return ENOSYS }
        let call = unsafe unsafeBitCast(symbol, to: (@convention(c) (Int, Int, Int, Int) -> CInt).self)
        return call(argument, 0, 0, 0) == -1 ? Glibc.errno : 0
    }
}
