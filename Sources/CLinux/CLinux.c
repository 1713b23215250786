#define _GNU_SOURCE
#include "CLinux.h"

#include <grp.h>
#include <link.h>
#include <malloc.h>
#include <linux/capability.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <sched.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <linux/sockios.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <time.h>

#ifndef IPV6_TRANSPARENT
#define IPV6_TRANSPARENT 75
#endif
#ifndef IP_BIND_ADDRESS_NO_PORT
#define IP_BIND_ADDRESS_NO_PORT 24
#endif

static int answer(long result) { return result < 0 ? -errno : (int)result; }

int linux_epoll_create(void) { return answer(epoll_create1(EPOLL_CLOEXEC)); }

static int control(int epoll, int operation, int descriptor, uint32_t events, uint64_t token) {
    struct epoll_event event = {.events = events, .data.u64 = token};
    return answer(epoll_ctl(epoll, operation, descriptor, &event));
}

int linux_epoll_add(int epoll, int descriptor, uint32_t events, uint64_t token) {
    return control(epoll, EPOLL_CTL_ADD, descriptor, events, token);
}

int linux_epoll_modify(int epoll, int descriptor, uint32_t events, uint64_t token) {
    return control(epoll, EPOLL_CTL_MOD, descriptor, events, token);
}

int linux_epoll_remove(int epoll, int descriptor) { return control(epoll, EPOLL_CTL_DEL, descriptor, 0, 0); }

int linux_epoll_wait(int epoll, struct linux_event *events, int timeout_milliseconds) {
    struct epoll_event taken[LINUX_EVENTS_PER_WAIT];
    int count = epoll_wait(epoll, taken, LINUX_EVENTS_PER_WAIT, timeout_milliseconds);
    if (count < 0) return -errno;
    for (int index = 0; index < count; index++) {
        events[index].events = taken[index].events;
        events[index].token = taken[index].data.u64;
    }
    return count;
}

int linux_eventfd(void) { return answer(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)); }

int linux_blocking_eventfd(void) { return answer(eventfd(0, EFD_CLOEXEC)); }

int linux_semaphore(void) { return answer(eventfd(0, EFD_CLOEXEC | EFD_SEMAPHORE)); }

int linux_eventfd_signal(int descriptor) {
    uint64_t one = 1;
    return answer(write(descriptor, &one, sizeof one));
}

int linux_eventfd_clear(int descriptor) {
    uint64_t count;
    return answer(read(descriptor, &count, sizeof count));
}

int linux_open_standard_descriptors(void) {
    for (int number = 0; number <= 2; number++) {
        if (fcntl(number, F_GETFD) >= 0 || errno != EBADF) continue;
        // The lowest number that is free is this one.
        if (open("/dev/null", O_RDWR) < 0) return -errno;
    }
    return 0;
}

static sigset_t set_of(const int *signals, int count) {
    sigset_t set;
    sigemptyset(&set);
    for (int index = 0; index < count; index++) sigaddset(&set, signals[index]);
    return set;
}

int linux_block_signals(const int *signals, int count) {
    sigset_t set = set_of(signals, count);
    return -pthread_sigmask(SIG_BLOCK, &set, NULL);
}

int linux_signalfd(const int *signals, int count) {
    int failure = linux_block_signals(signals, count);
    if (failure) return failure;
    sigset_t set = set_of(signals, count);
    return answer(signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
}

int linux_signalfd_next(int descriptor) {
    struct signalfd_siginfo info;
    ssize_t count = read(descriptor, &info, sizeof info);
    return count < 0 ? -errno : (int)info.ssi_signo;
}

int linux_inotify(void) { return answer(inotify_init1(IN_CLOEXEC | IN_NONBLOCK)); }

int linux_inotify_add(int descriptor, const char *path, uint32_t events) {
    return answer(inotify_add_watch(descriptor, path, events | IN_MASK_ADD | IN_ONLYDIR));
}

int linux_inotify_remove(int descriptor, int watch) { return answer(inotify_rm_watch(descriptor, watch)); }

int linux_inotify_read(int descriptor, void *events, size_t capacity) {
    return answer(read(descriptor, events, capacity));
}

size_t linux_inotify_event(
    const void *events, size_t count, size_t offset, int *watch, uint32_t *kinds, const char **name) {
    struct inotify_event event;
    if (offset + sizeof event > count) return 0;
    memcpy(&event, (const char *)events + offset, sizeof event);
    *watch = event.wd;
    *kinds = event.mask;
    *name = event.len > 0 ? (const char *)events + offset + sizeof event : "";
    return offset + sizeof event + event.len;
}

void linux_name_thread(const char *name) { prctl(PR_SET_NAME, name, 0, 0, 0); }

void linux_ignore_signal(int number) { signal(number, SIG_IGN); }

static int64_t microseconds(clockid_t clock) {
    struct timespec time;
    clock_gettime(clock, &time);
    return (int64_t)time.tv_sec * 1000000 + time.tv_nsec / 1000;
}

int64_t linux_monotonic_microseconds(void) { return microseconds(CLOCK_MONOTONIC); }
int64_t linux_wall_microseconds(void) { return microseconds(CLOCK_REALTIME); }

static socklen_t fill(struct sockaddr_storage *storage, int is_ipv6, const uint8_t *address, uint16_t port) {
    memset(storage, 0, sizeof *storage);
    if (is_ipv6) {
        struct sockaddr_in6 *name = (struct sockaddr_in6 *)storage;
        name->sin6_family = AF_INET6;
        name->sin6_port = htons(port);
        memcpy(&name->sin6_addr, address, 16);
        return sizeof *name;
    }
    struct sockaddr_in *name = (struct sockaddr_in *)storage;
    name->sin_family = AF_INET;
    name->sin_port = htons(port);
    memcpy(&name->sin_addr, address, 4);
    return sizeof *name;
}

static void spill(const struct sockaddr_storage *storage, int *is_ipv6, uint8_t *address, uint16_t *port) {
    if (storage->ss_family == AF_INET6) {
        const struct sockaddr_in6 *name = (const struct sockaddr_in6 *)storage;
        *is_ipv6 = 1;
        *port = ntohs(name->sin6_port);
        memcpy(address, &name->sin6_addr, 16);
    } else {
        const struct sockaddr_in *name = (const struct sockaddr_in *)storage;
        *is_ipv6 = 0;
        *port = ntohs(name->sin_port);
        memcpy(address, &name->sin_addr, 4);
    }
}

int linux_tcp_socket(int is_ipv6) {
    return answer(socket(is_ipv6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
}

int linux_bind(int descriptor, int is_ipv6, const uint8_t *address, uint16_t port) {
    struct sockaddr_storage name;
    socklen_t length = fill(&name, is_ipv6, address, port);
    return answer(bind(descriptor, (struct sockaddr *)&name, length));
}

int linux_listen(int descriptor, int backlog) { return answer(listen(descriptor, backlog)); }

int linux_connect(int descriptor, int is_ipv6, const uint8_t *address, uint16_t port) {
    struct sockaddr_storage name;
    socklen_t length = fill(&name, is_ipv6, address, port);
    return answer(connect(descriptor, (struct sockaddr *)&name, length));
}

int linux_accept(int descriptor, int *is_ipv6, uint8_t *address, uint16_t *port) {
    struct sockaddr_storage name = {0};
    socklen_t length = sizeof name;
    int connection = accept4(descriptor, (struct sockaddr *)&name, &length, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (connection < 0) return -errno;
    spill(&name, is_ipv6, address, port);
    return connection;
}

int linux_local_name(int descriptor, int *is_ipv6, uint8_t *address, uint16_t *port) {
    struct sockaddr_storage name = {0};
    socklen_t length = sizeof name;
    if (getsockname(descriptor, (struct sockaddr *)&name, &length) < 0) return -errno;
    spill(&name, is_ipv6, address, port);
    return 0;
}

static int set(int descriptor, int level, int option, int value) {
    return answer(setsockopt(descriptor, level, option, &value, sizeof value));
}

int linux_socket_error(int descriptor) {
    int error = 0;
    socklen_t length = sizeof error;
    if (getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &error, &length) < 0) return errno;
    return error;
}

int linux_shutdown_write(int descriptor) { return answer(shutdown(descriptor, SHUT_WR)); }
int linux_no_delay(int descriptor) { return set(descriptor, IPPROTO_TCP, TCP_NODELAY, 1); }

int linux_keep_alive(int descriptor, int idle_seconds) {
    int failure = set(descriptor, SOL_SOCKET, SO_KEEPALIVE, 1);
    return failure ? failure : set(descriptor, IPPROTO_TCP, TCP_KEEPIDLE, idle_seconds);
}

int linux_reuse_address(int descriptor) { return set(descriptor, SOL_SOCKET, SO_REUSEADDR, 1); }
int linux_only_ipv6(int descriptor, int is_on) { return set(descriptor, IPPROTO_IPV6, IPV6_V6ONLY, is_on); }

int linux_transparent(int descriptor, int is_ipv6) {
    return is_ipv6 ? set(descriptor, IPPROTO_IPV6, IPV6_TRANSPARENT, 1)
                   : set(descriptor, IPPROTO_IP, IP_TRANSPARENT, 1);
}

int linux_bind_address_no_port(int descriptor) {
    return set(descriptor, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1);
}

int linux_mark(int descriptor, uint32_t mark) { return set(descriptor, SOL_SOCKET, SO_MARK, (int)mark); }

int linux_unsent_bytes(int descriptor) {
    int count = 0;
    int result = answer(ioctl(descriptor, SIOCOUTQ, &count));
    if (result < 0 || count == 0) return result < 0 ? result : 0;
    // After the peer's reset the kernel goes on counting what nobody will ever acknowledge. The state comes first in
    // tcp_info.
    uint8_t state = 0;
    socklen_t size = sizeof state;
    if (getsockopt(descriptor, IPPROTO_TCP, TCP_INFO, &state, &size) == 0 && state == TCP_CLOSE) return 0;
    return count;
}

int linux_reset_on_close(int descriptor) {
    struct linger linger = {.l_onoff = 1, .l_linger = 0};
    return answer(setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &linger, sizeof linger));
}

static int capability_sets(struct __user_cap_data_struct data[2]) {
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    return answer(syscall(SYS_capget, &header, data));
}

int linux_has_capability(int capability) {
    struct __user_cap_data_struct data[2] = {0};
    if (capability_sets(data) < 0) return 0;
    return data[capability / 32].effective >> (capability % 32) & 1;
}

int64_t linux_permitted_capabilities(void) {
    struct __user_cap_data_struct data[2] = {0};
    int failure = capability_sets(data);
    return failure < 0 ? failure : (int64_t)data[1].permitted << 32 | data[0].permitted;
}

int linux_set_capabilities(uint64_t capabilities) {
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2] = {0};
    data[0].effective = data[0].permitted = (uint32_t)capabilities;
    data[1].effective = data[1].permitted = (uint32_t)(capabilities >> 32);
    return answer(syscall(SYS_capset, &header, data));
}

int linux_keep_capabilities(void) { return answer(prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0)); }
int linux_no_new_privileges(void) { return answer(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)); }

int linux_become(uint32_t user, uint32_t group) {
    if (setgroups(0, NULL) < 0 || setresgid(group, group, group) < 0) return -errno;
    return answer(setresuid(user, user, user));
}

int linux_may_change_user(void) { return linux_has_capability(CAP_SETUID) && linux_has_capability(CAP_SETGID); }

int linux_affinity_count(void) {
    cpu_set_t set;
    CPU_ZERO(&set);
    return sched_getaffinity(0, sizeof set, &set) < 0 ? -errno : CPU_COUNT(&set);
}

static int release_code(struct dl_phdr_info *object, size_t size, void *unused) {
    (void)size;
    (void)unused;
    long page = sysconf(_SC_PAGESIZE);
    for (int index = 0; index < object->dlpi_phnum; index++) {
        const ElfW(Phdr) *segment = &object->dlpi_phdr[index];
        // Never a segment that can be written: its pages may hold relocations that the file does not.
        if (segment->p_type != PT_LOAD || segment->p_flags & PF_W) continue;
        uintptr_t start = (object->dlpi_addr + segment->p_vaddr) & ~((uintptr_t)page - 1);
        uintptr_t end = object->dlpi_addr + segment->p_vaddr + segment->p_memsz;
        madvise((void *)start, end - start, MADV_DONTNEED);
    }
    return 0;
}

void linux_trim_heap(void) { malloc_trim(0); }

void linux_release_code_pages(void) { dl_iterate_phdr(release_code, NULL); }
