// Two fences that a process puts around itself for good: which system calls it may make, which files it may reach.
#define _GNU_SOURCE
#include "CLinux.h"

#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/landlock.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <sched.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>

// MARK: system calls

#if defined(__x86_64__)
#define ARCHITECTURE AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define ARCHITECTURE AUDIT_ARCH_AARCH64
#endif

#define LOAD(field) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field))
#define LOAD_ARGUMENT(index) LOAD(args[index])
#define ANSWER(action) BPF_STMT(BPF_RET | BPF_K, action)
#define REFUSE(number) ANSWER(SECCOMP_RET_ERRNO | (number))
#define ALLOW ANSWER(SECCOMP_RET_ALLOW)
/// Skips the next instruction unless the loaded word is `value`.
#define IF_EQUAL(value) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 0, 1)
#define REFUSE_CALL(name) IF_EQUAL(SYS_##name), REFUSE(EPERM)
#define ALLOW_CALL(name) IF_EQUAL(SYS_##name), ALLOW

#ifdef ARCHITECTURE
static const struct sock_filter filter[] = {
    // The calls of another architecture have other numbers.
    LOAD(arch), BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ARCHITECTURE, 1, 0), REFUSE(EPERM),
    LOAD(nr),
#ifdef __x86_64__
    // x32 numbers the same calls again.
    BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, 0x40000000, 0, 1), REFUSE(ENOSYS),
#endif
    // What every request needs, first: kernels before 5.11 run the filter for each call.
    ALLOW_CALL(read), ALLOW_CALL(write), ALLOW_CALL(sendto), ALLOW_CALL(recvfrom), ALLOW_CALL(epoll_pwait),
#ifdef SYS_epoll_wait
    ALLOW_CALL(epoll_wait),
#endif

    // Other programs, and other processes.
    REFUSE_CALL(execve), REFUSE_CALL(execveat), REFUSE_CALL(ptrace), REFUSE_CALL(process_vm_readv),
    REFUSE_CALL(process_vm_writev), REFUSE_CALL(pidfd_getfd), REFUSE_CALL(kcmp), REFUSE_CALL(process_madvise),
#ifdef SYS_fork
    REFUSE_CALL(fork), REFUSE_CALL(vfork),
#endif
    // Namespaces and mounts.
    REFUSE_CALL(unshare), REFUSE_CALL(setns), REFUSE_CALL(mount), REFUSE_CALL(umount2), REFUSE_CALL(pivot_root),
    REFUSE_CALL(chroot), REFUSE_CALL(open_tree), REFUSE_CALL(move_mount), REFUSE_CALL(fsopen), REFUSE_CALL(fsconfig),
    REFUSE_CALL(fsmount), REFUSE_CALL(fspick), REFUSE_CALL(mount_setattr), REFUSE_CALL(open_by_handle_at),
    REFUSE_CALL(name_to_handle_at), REFUSE_CALL(mknodat), REFUSE_CALL(quotactl), REFUSE_CALL(swapon),
    REFUSE_CALL(swapoff),
    // The kernel's less trodden parts, where the holes have been.
    REFUSE_CALL(bpf), REFUSE_CALL(perf_event_open), REFUSE_CALL(userfaultfd), REFUSE_CALL(io_uring_setup),
    REFUSE_CALL(io_uring_enter), REFUSE_CALL(io_uring_register), REFUSE_CALL(keyctl), REFUSE_CALL(add_key),
    REFUSE_CALL(request_key), REFUSE_CALL(fanotify_init), REFUSE_CALL(personality),
    // The machine.
    REFUSE_CALL(init_module), REFUSE_CALL(finit_module), REFUSE_CALL(delete_module), REFUSE_CALL(kexec_load),
#ifdef SYS_kexec_file_load
    REFUSE_CALL(kexec_file_load),
#endif
    REFUSE_CALL(reboot), REFUSE_CALL(settimeofday), REFUSE_CALL(clock_settime), REFUSE_CALL(adjtimex),
    REFUSE_CALL(clock_adjtime), REFUSE_CALL(sethostname), REFUSE_CALL(setdomainname), REFUSE_CALL(acct),
    REFUSE_CALL(syslog), REFUSE_CALL(vhangup),
#ifdef SYS_iopl
    REFUSE_CALL(iopl), REFUSE_CALL(ioperm), REFUSE_CALL(modify_ldt),
#endif

    // Threads yes, processes no. The flags of clone3 are behind a pointer; without it libc uses clone.
    IF_EQUAL(SYS_clone3), REFUSE(ENOSYS),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone, 0, 4), LOAD_ARGUMENT(0),
    BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, CLONE_THREAD, 0, 1), ALLOW, REFUSE(EPERM),

    // Sockets: CAP_NET_RAW stays for IP_TRANSPARENT and SO_MARK, not to read or forge the pod's packets.
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_socket, 1, 0), ALLOW,
    LOAD_ARGUMENT(0),
    IF_EQUAL(AF_UNIX), ALLOW,
    IF_EQUAL(AF_NETLINK), ALLOW,
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AF_INET, 2, 0), BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AF_INET6, 1, 0), REFUSE(EPERM),
    LOAD_ARGUMENT(1),
    BPF_STMT(BPF_ALU | BPF_AND | BPF_K, 0xf),
    IF_EQUAL(SOCK_STREAM), ALLOW,
    IF_EQUAL(SOCK_DGRAM), ALLOW,
    REFUSE(EPERM),
};
#endif

int linux_refuse_calls(void) {
#ifdef ARCHITECTURE
    struct sock_fprog program = {.len = sizeof filter / sizeof *filter, .filter = (struct sock_filter *)filter};
    // Kernels before 5.16 would slow every thread down against speculative stores; nothing here runs foreign code.
    unsigned flags = SECCOMP_FILTER_FLAG_TSYNC | SECCOMP_FILTER_FLAG_SPEC_ALLOW;
    long result = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program);
    // A positive answer is a thread that could not be brought along.
    return result < 0 ? -errno : result > 0 ? -ESRCH : 0;
#else
    return -ENOSYS;
#endif
}

// MARK: files

// Newer than the oldest headers that this builds with.
#ifndef LANDLOCK_ACCESS_FS_REFER
#define LANDLOCK_ACCESS_FS_REFER (1ULL << 13)
#endif
#ifndef LANDLOCK_ACCESS_FS_TRUNCATE
#define LANDLOCK_ACCESS_FS_TRUNCATE (1ULL << 14)
#endif
#ifndef LANDLOCK_ACCESS_FS_IOCTL_DEV
#define LANDLOCK_ACCESS_FS_IOCTL_DEV (1ULL << 15)
#endif

/// `struct landlock_ruleset_attr` as of ABI 6; an older kernel takes as much of it as it knows.
struct ruleset {
    uint64_t files, network, scope;
};
static const uint64_t abstract_sockets = 1, signals = 2;

static const uint64_t reading = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR;

/// The kernel's version of landlock(7), from 1.
static int landlock_version(void) {
    long version = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    return version < 0 ? -errno : (int)version;
}

int linux_files_begin(void) {
    int version = landlock_version();
    if (version < 0) return version;
    struct ruleset ruleset = {.files = (LANDLOCK_ACCESS_FS_MAKE_SYM << 1) - 1};
    size_t size = sizeof ruleset.files;
    if (version >= 2) ruleset.files |= LANDLOCK_ACCESS_FS_REFER;
    if (version >= 3) ruleset.files |= LANDLOCK_ACCESS_FS_TRUNCATE;
    if (version >= 5) ruleset.files |= LANDLOCK_ACCESS_FS_IOCTL_DEV;
    if (version >= 6) {
        ruleset.scope = abstract_sockets | signals;
        size = sizeof ruleset;
    }
    long descriptor = syscall(SYS_landlock_create_ruleset, &ruleset, size, 0);
    return descriptor < 0 ? -errno : (int)descriptor;
}

int linux_files_allow(int ruleset, const char *path) {
    int target = open(path, O_PATH | O_CLOEXEC);
    if (target < 0) return -errno;
    struct stat status;
    int failure = fstat(target, &status) < 0 ? -errno : 0;
    struct landlock_path_beneath_attr rule = {
        .allowed_access = S_ISDIR(status.st_mode) ? reading : LANDLOCK_ACCESS_FS_READ_FILE, .parent_fd = target};
    if (!failure && syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) < 0) failure = -errno;
    close(target);
    return failure;
}

int linux_files_enforce(int ruleset) {
    return syscall(SYS_landlock_restrict_self, ruleset, 0) < 0 ? -errno : 0;
}

int linux_is_mount_root(const char *path) {
    struct statx status;
    if (statx(AT_FDCWD, path, 0, 0, &status) < 0) return -errno;
    return status.stx_attributes & STATX_ATTR_MOUNT_ROOT ? 1 : 0;
}

int linux_forbid_dumps(void) { return prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0 ? -errno : 0; }
