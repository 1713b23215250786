#define _GNU_SOURCE
#include "CNetfilter.h"
#include "Netlink.h"

#include <arpa/inet.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>

struct listeners {
    struct nf_listener *list;
    int count, capacity;
};

static int see_listener(const struct nlmsghdr *header, void *context) {
    struct listeners *listeners = context;
    const struct inet_diag_msg *message = mnl_nlmsg_get_payload(header);
    struct nf_listener listener = {.is_ipv6 = message->idiag_family == AF_INET6,
                                   .port = ntohs(message->id.idiag_sport),
                                   .user = message->idiag_uid,
                                   .is_transparent = -1,
                                   .mark = -1};
    memcpy(listener.address, message->id.idiag_src, listener.is_ipv6 ? 16 : 4);
    struct nlattr *attribute;
    mnl_attr_for_each(attribute, header, sizeof *message) {
        switch (mnl_attr_get_type(attribute)) {
        case INET_DIAG_SOCKOPT: {
            struct inet_diag_sockopt options;
            if (mnl_attr_get_payload_len(attribute) < sizeof options) break;
            memcpy(&options, mnl_attr_get_payload(attribute), sizeof options);
            listener.is_transparent = options.transparent;
            break;
        }
        case INET_DIAG_MARK: listener.mark = mnl_attr_get_u32(attribute); break;
        default: break;
        }
    }
    if (listeners->count < listeners->capacity) listeners->list[listeners->count] = listener;
    listeners->count++;
    return MNL_CB_OK;
}

int nf_listeners(int is_ipv6, struct nf_listener *list, int capacity) {
    char request[256];
    struct nlmsghdr *header = mnl_nlmsg_put_header(request);
    header->nlmsg_type = SOCK_DIAG_BY_FAMILY;
    header->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
    header->nlmsg_seq = 1;
    struct inet_diag_req_v2 *wanted = mnl_nlmsg_put_extra_header(header, sizeof *wanted);
    wanted->sdiag_family = is_ipv6 ? AF_INET6 : AF_INET;
    wanted->sdiag_protocol = IPPROTO_TCP;
    wanted->idiag_states = 1 << TCP_LISTEN;
    struct listeners listeners = {list, 0, capacity};
    int result = netlink_talk(NETLINK_SOCK_DIAG, header, header->nlmsg_len, 1, see_listener, &listeners, 1);
    return result < 0 ? result : listeners.count;
}
