// Linux calls that Swift cannot import by itself: variadics, packed structures, transparent unions.
//
// Every function answers a non-negative result, or the negated errno: one value to look at, nothing global.
#pragma once

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

// MARK: descriptors

// recv(3) and send(3) are cancellation points: in a process with threads each call of them costs two atomic exchanges.
// Nobody cancels a thread here.

static inline ssize_t linux_receive_flags(int descriptor, void *buffer, size_t count, int flags) {
    ssize_t result = syscall(SYS_recvfrom, descriptor, buffer, count, flags, NULL, NULL);
    return result < 0 ? -errno : result;
}

static inline ssize_t linux_send_flags(int descriptor, const void *buffer, size_t count, int flags) {
    ssize_t result = syscall(SYS_sendto, descriptor, buffer, count, flags | MSG_NOSIGNAL, NULL, 0);
    return result < 0 ? -errno : result;
}

static inline ssize_t linux_receive(int descriptor, void *buffer, size_t count) {
    return linux_receive_flags(descriptor, buffer, count, 0);
}

static inline ssize_t linux_peek(int descriptor, void *buffer, size_t count) {
    return linux_receive_flags(descriptor, buffer, count, MSG_PEEK);
}

static inline ssize_t linux_send(int descriptor, const void *buffer, size_t count) {
    return linux_send_flags(descriptor, buffer, count, 0);
}

static inline int linux_duplicate(int descriptor) {
    int copy = dup(descriptor);
    return copy < 0 ? -errno : copy;
}

// MARK: epoll and its kin

int linux_epoll_create(void);
int linux_epoll_add(int epoll, int descriptor, uint32_t events, uint64_t token);
int linux_epoll_modify(int epoll, int descriptor, uint32_t events, uint64_t token);
int linux_epoll_remove(int epoll, int descriptor);

/// `struct epoll_event` without its union.
struct linux_event {
    uint32_t events;
    uint64_t token;
};
#define LINUX_EVENTS_PER_WAIT 256

/// Fills at most LINUX_EVENTS_PER_WAIT events.
int linux_epoll_wait(int epoll, struct linux_event *events, int timeout_milliseconds);

int linux_eventfd(void);
/// One that `linux_eventfd_clear` waits on.
int linux_blocking_eventfd(void);
/// A blocking one that `linux_eventfd_clear` takes one from at a time.
int linux_semaphore(void);
int linux_eventfd_signal(int descriptor);
int linux_eventfd_clear(int descriptor);

/// Opens /dev/null in the place of standard descriptors that are closed: the next sockets would get their numbers, and
/// what is written to standard output.
int linux_open_standard_descriptors(void);

/// Blocks the given signals for this thread and its children: they wait for a descriptor that reports them.
int linux_block_signals(const int *signals, int count);
/// Blocks the given signals too; answers a descriptor that reports them.
int linux_signalfd(const int *signals, int count);
/// The number of the next pending signal, or -EAGAIN.
int linux_signalfd_next(int descriptor);
void linux_ignore_signal(int number);

// MARK: inotify

/// Non-blocking and close-on-exec.
int linux_inotify(void);
/// Watches what a path leads to, adding to what is watched there already; answers the watch's number.
int linux_inotify_add(int descriptor, const char *path, uint32_t events);
int linux_inotify_remove(int descriptor, int watch);
/// Reads as many whole events as fit; -EAGAIN when there is none.
int linux_inotify_read(int descriptor, void *events, size_t capacity);
/// The event at an offset of what was read; answers the offset of the next one, 0 at the end. The name ends with a zero
/// and is empty when the event is about the directory itself.
size_t linux_inotify_event(
    const void *events, size_t count, size_t offset, int *watch, uint32_t *kinds, const char **name);

// MARK: threads and time

/// Names the calling thread, as `ps -L` shows it; at most 15 bytes.
void linux_name_thread(const char *name);

/// Microseconds of CLOCK_MONOTONIC.
int64_t linux_monotonic_microseconds(void);
/// Microseconds since the epoch.
int64_t linux_wall_microseconds(void);

// MARK: sockets; addresses travel as 4 or 16 bytes in network order

int linux_tcp_socket(int is_ipv6);
int linux_bind(int descriptor, int is_ipv6, const uint8_t *address, uint16_t port);
int linux_listen(int descriptor, int backlog);
int linux_connect(int descriptor, int is_ipv6, const uint8_t *address, uint16_t port);
/// Accepts a non-blocking, close-on-exec connection; fills in the peer. The address has room for 16 bytes.
int linux_accept(int descriptor, int *is_ipv6, uint8_t *address, uint16_t *port);
int linux_local_name(int descriptor, int *is_ipv6, uint8_t *address, uint16_t *port);
/// SO_ERROR: 0, or the positive errno of a finished connect.
int linux_socket_error(int descriptor);
int linux_shutdown_write(int descriptor);
int linux_no_delay(int descriptor);
int linux_keep_alive(int descriptor, int idle_seconds);
int linux_reuse_address(int descriptor);
int linux_only_ipv6(int descriptor, int is_on);
int linux_transparent(int descriptor, int is_ipv6);
int linux_bind_address_no_port(int descriptor);
int linux_mark(int descriptor, uint32_t mark);
/// Bytes that the peer has not acknowledged (SIOCOUTQ) and still may: none when it has reset the connection.
int linux_unsent_bytes(int descriptor);
/// The next close() sends RST and drops what is unsent.
int linux_reset_on_close(int descriptor);

// MARK: privileges

/// 1 when the effective set of this process holds the capability.
int linux_has_capability(int capability);
/// Makes the effective and permitted sets exactly the given ones (a bit per capability number).
int linux_set_capabilities(uint64_t capabilities);
/// Permitted set of this process, a bit per capability number.
int64_t linux_permitted_capabilities(void);
int linux_keep_capabilities(void);
int linux_no_new_privileges(void);
int linux_become(uint32_t user, uint32_t group);
static inline uint32_t linux_user(void) { return geteuid(); }
/// 1 when this process may take on another user: CAP_SETUID and CAP_SETGID.
int linux_may_change_user(void);

// MARK: the process's own fences; they hold for this thread and those that it starts, and cannot be taken away

/// Refuses the system calls that a proxy never makes (seccomp(2)). Needs no_new_privs.
int linux_refuse_calls(void);
/// Begins a list of the files that may be read (landlock(7)): a descriptor to close.
int linux_files_begin(void);
/// A file, or a directory with all beneath it.
int linux_files_allow(int ruleset, const char *path);
/// From now on nothing but what the list holds can be read, nothing written or executed.
int linux_files_enforce(int ruleset);
/// 1 when something is mounted at the path, which then cannot be renamed or replaced.
int linux_is_mount_root(const char *path);
/// No core file, no debugger of the same user.
int linux_forbid_dumps(void);

/// Gives back the pages of code and constants that only the start needed: they are read from the page cache again when
/// they are used.
void linux_release_code_pages(void);
/// Gives free heap memory back to the system (malloc_trim(3)).
void linux_trim_heap(void);

/// Processors that sched_getaffinity(2) leaves this process.
int linux_affinity_count(void);

#define LINUX_CAP_NET_ADMIN 12
#define LINUX_CAP_NET_RAW 13
