#define _GNU_SOURCE
#include "CNetfilter.h"
#include "Netlink.h"

#include <errno.h>
#include <linux/fib_rules.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

static int family(int is_ipv6) { return is_ipv6 ? AF_INET6 : AF_INET; }

// MARK: policy rules

static int change_policy(const struct nf_policy *policy, uint16_t type, uint16_t flags) {
    char request[512];
    struct nlmsghdr *header = mnl_nlmsg_put_header(request);
    header->nlmsg_type = type;
    header->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | flags;
    header->nlmsg_seq = 1;
    struct fib_rule_hdr *rule = mnl_nlmsg_put_extra_header(header, sizeof *rule);
    rule->family = (uint8_t)family(policy->is_ipv6);
    rule->action = policy->action;
    rule->table = policy->table < 256 ? (uint8_t)policy->table : RT_TABLE_UNSPEC;
    rule->src_len = policy->source_length;
    if (policy->table) mnl_attr_put_u32(header, FRA_TABLE, policy->table);
    mnl_attr_put_u32(header, FRA_PRIORITY, policy->priority);
    if (policy->mark_mask) {
        mnl_attr_put_u32(header, FRA_FWMARK, policy->mark);
        mnl_attr_put_u32(header, FRA_FWMASK, policy->mark_mask);
    }
    if (policy->source_length) mnl_attr_put(header, FRA_SRC, policy->is_ipv6 ? 16 : 4, policy->source);
    if (policy->comes_from_loopback) mnl_attr_put_strz(header, FRA_IIFNAME, "lo");
    return netlink_talk(NETLINK_ROUTE, header, header->nlmsg_len, 1, NULL, NULL, 1);
}

int nf_policy_add(const struct nf_policy *policy) {
    return change_policy(policy, RTM_NEWRULE, NLM_F_CREATE | NLM_F_EXCL);
}

int nf_policy_delete(const struct nf_policy *policy) { return change_policy(policy, RTM_DELRULE, 0); }

struct policies {
    struct nf_policy *list;
    int count, capacity;
};

static void read_selector(struct nf_policy *policy, const struct nlattr *attribute) {
    switch (mnl_attr_get_type(attribute)) {
    case FRA_TABLE: policy->table = mnl_attr_get_u32(attribute); break;
    case FRA_PRIORITY: policy->priority = mnl_attr_get_u32(attribute); break;
    case FRA_FWMARK: policy->mark = mnl_attr_get_u32(attribute); break;
    case FRA_FWMASK: policy->mark_mask = mnl_attr_get_u32(attribute); break;
    case FRA_IIFNAME:
        if (strcmp(mnl_attr_get_str(attribute), "lo") == 0)
            policy->comes_from_loopback = 1;
        else
            policy->comes_from_elsewhere = 1;
        break;
    case FRA_SRC: {
        size_t length = mnl_attr_get_payload_len(attribute);
        memcpy(policy->source, mnl_attr_get_payload(attribute), length > 16 ? 16 : length);
        break;
    }
    // Written for every rule; all bits set where it is not asked for.
    case FRA_SUPPRESS_PREFIXLEN:
    case FRA_SUPPRESS_IFGROUP:
        if (mnl_attr_get_u32(attribute) != UINT32_MAX) policy->has_other_selectors = 1;
        break;
    // They say nothing about packets.
    case FRA_PROTOCOL:
    case FRA_FLOW:
    case FRA_PAD: break;
    default: policy->has_other_selectors = 1; break;
    }
}

static int see_policy(const struct nlmsghdr *header, void *context) {
    struct policies *policies = context;
    const struct fib_rule_hdr *rule = mnl_nlmsg_get_payload(header);
    struct nf_policy policy = {.is_ipv6 = rule->family == AF_INET6,
                               .action = rule->action,
                               .table = rule->table,
                               .source_length = rule->src_len,
                               .has_other_selectors = rule->dst_len || rule->tos || rule->flags & FIB_RULE_INVERT};
    struct nlattr *attribute;
    mnl_attr_for_each(attribute, header, sizeof *rule) read_selector(&policy, attribute);
    if (policy.action != FR_ACT_TO_TBL) policy.table = 0;
    if (policies->count < policies->capacity) policies->list[policies->count] = policy;
    policies->count++;
    return MNL_CB_OK;
}

int nf_policy_list(int is_ipv6, struct nf_policy *list, int capacity) {
    char request[256];
    struct nlmsghdr *header = mnl_nlmsg_put_header(request);
    header->nlmsg_type = RTM_GETRULE;
    header->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
    header->nlmsg_seq = 1;
    struct fib_rule_hdr *rule = mnl_nlmsg_put_extra_header(header, sizeof *rule);
    rule->family = (uint8_t)family(is_ipv6);
    struct policies policies = {list, 0, capacity};
    int result = netlink_talk(NETLINK_ROUTE, header, header->nlmsg_len, 1, see_policy, &policies, 1);
    return result < 0 ? result : policies.count;
}

// MARK: routes

static int change_route(int is_ipv6, uint32_t table, uint16_t type, uint16_t flags) {
    char request[512];
    struct nlmsghdr *header = mnl_nlmsg_put_header(request);
    header->nlmsg_type = type;
    header->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | flags;
    header->nlmsg_seq = 1;
    struct rtmsg *route = mnl_nlmsg_put_extra_header(header, sizeof *route);
    route->rtm_family = (uint8_t)family(is_ipv6);
    route->rtm_table = table < 256 ? (uint8_t)table : RT_TABLE_UNSPEC;
    route->rtm_type = RTN_LOCAL;
    route->rtm_scope = is_ipv6 ? RT_SCOPE_UNIVERSE : RT_SCOPE_HOST;
    route->rtm_protocol = RTPROT_STATIC;
    mnl_attr_put_u32(header, RTA_TABLE, table);
    mnl_attr_put_u32(header, RTA_OIF, if_nametoindex("lo"));
    return netlink_talk(NETLINK_ROUTE, header, header->nlmsg_len, 1, NULL, NULL, 1);
}

int nf_route_add(int is_ipv6, uint32_t table) {
    return change_route(is_ipv6, table, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE);
}

int nf_route_delete(int is_ipv6, uint32_t table) { return change_route(is_ipv6, table, RTM_DELROUTE, 0); }

struct route_search {
    uint32_t table, loopback;
    struct nf_routes found;
    /// Copies of the messages about routes of others, one after the other; NULL where they are only counted.
    char *others;
    size_t used, capacity;
};

static int keep(struct route_search *search, const struct nlmsghdr *header) {
    if (!search->others) return MNL_CB_OK;
    size_t length = MNL_ALIGN(header->nlmsg_len);
    if (search->used + length > search->capacity) {
        errno = EMSGSIZE;
        return MNL_CB_ERROR;
    }
    memcpy(search->others + search->used, header, header->nlmsg_len);
    search->used += length;
    return MNL_CB_OK;
}

static int see_route(const struct nlmsghdr *header, void *context) {
    struct route_search *search = context;
    const struct rtmsg *route = mnl_nlmsg_get_payload(header);
    uint32_t table = route->rtm_table, interface = 0;
    struct nlattr *attribute;
    mnl_attr_for_each(attribute, header, sizeof *route) {
        if (mnl_attr_get_type(attribute) == RTA_TABLE) table = mnl_attr_get_u32(attribute);
        if (mnl_attr_get_type(attribute) == RTA_OIF) interface = mnl_attr_get_u32(attribute);
    }
    if (table != search->table || route->rtm_flags & RTM_F_CLONED) return MNL_CB_OK;
    if (interface == search->loopback && route->rtm_type == RTN_LOCAL && route->rtm_dst_len == 0) {
        search->found.has_ours = 1;
        return MNL_CB_OK;
    }
    search->found.others++;
    return keep(search, header);
}

static int search_routes(int is_ipv6, struct route_search *search) {
    char request[256];
    struct nlmsghdr *header = mnl_nlmsg_put_header(request);
    header->nlmsg_type = RTM_GETROUTE;
    header->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
    header->nlmsg_seq = 1;
    struct rtmsg *route = mnl_nlmsg_put_extra_header(header, sizeof *route);
    route->rtm_family = (uint8_t)family(is_ipv6);
    return netlink_talk(NETLINK_ROUTE, header, header->nlmsg_len, 1, see_route, search, 1);
}

int nf_routes(int is_ipv6, uint32_t table, struct nf_routes *found) {
    struct route_search search = {.table = table, .loopback = if_nametoindex("lo")};
    int result = search_routes(is_ipv6, &search);
    *found = search.found;
    return result;
}

int nf_routes_delete_others(int is_ipv6, uint32_t table) {
    struct route_search search = {.table = table, .loopback = if_nametoindex("lo"), .capacity = 1 << 20};
    search.others = malloc(search.capacity);
    if (!search.others) return -ENOMEM;
    int result = search_routes(is_ipv6, &search);
    // What the kernel says of a route is also how to name it.
    for (size_t offset = 0; result >= 0 && offset < search.used;) {
        struct nlmsghdr *header = (struct nlmsghdr *)(search.others + offset);
        offset += MNL_ALIGN(header->nlmsg_len);
        header->nlmsg_type = RTM_DELROUTE;
        header->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
        header->nlmsg_seq = 1;
        header->nlmsg_pid = 0;
        result = netlink_talk(NETLINK_ROUTE, header, header->nlmsg_len, 1, NULL, NULL, 1);
        if (result == -ESRCH) result = 0;  // gone meanwhile
    }
    free(search.others);
    return result;
}
