#define _GNU_SOURCE
#include "CNetfilter.h"

#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

/// Sends a datagram from the socket to itself: 0, or the negated errno.
static int send_to_itself(int sender) {
    struct sockaddr_in self;
    socklen_t length = sizeof self;
    if (getsockname(sender, (struct sockaddr *)&self, &length) < 0) return -errno;
    return sendto(sender, "", 1, MSG_DONTWAIT, (struct sockaddr *)&self, length) < 0 ? -errno : 0;
}

int nf_canary(uint32_t mark) {
    int sender = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (sender < 0) return -errno;
    struct sockaddr_in any = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int result = bind(sender, (struct sockaddr *)&any, sizeof any) < 0 ? -errno : 0;
    // Without the mark it must get through, else its refusal says nothing.
    if (!result) result = send_to_itself(sender);
    if (!result && setsockopt(sender, SOL_SOCKET, SO_MARK, &mark, sizeof mark) < 0) result = -errno;
    if (!result) {
        int sent = send_to_itself(sender);
        // The kernel's answer to a packet that a rule of the hook `output` has dropped.
        result = sent == -EPERM ? 1 : sent;
    }
    close(sender);
    return result;
}
