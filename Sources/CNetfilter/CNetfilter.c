#define _GNU_SOURCE
#include "CNetfilter.h"
#include "Netlink.h"

#include <arpa/inet.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <libnftnl/chain.h>
#include <libnftnl/common.h>
#include <libnftnl/expr.h>
#include <libnftnl/rule.h>
#include <libnftnl/table.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

// MARK: netlink

int netlink_talk(int bus, const void *request, size_t length, uint32_t sequence, mnl_cb_t found, void *context,
                 int acknowledgements) {
    struct mnl_socket *socket = mnl_socket_open(bus);
    if (!socket) return -errno;
    int result = 0;
    if (mnl_socket_bind(socket, 0, MNL_SOCKET_AUTOPID) < 0 || mnl_socket_sendto(socket, request, length) < 0) {
        result = -errno;
        mnl_socket_close(socket);
        return result;
    }
    unsigned port = mnl_socket_get_portid(socket);
    static const size_t capacity = 65536;
    char *buffer = malloc(capacity);
    if (!buffer) {
        mnl_socket_close(socket);
        return -ENOMEM;
    }
    int answered = 0;
    for (;;) {
        ssize_t count = mnl_socket_recvfrom(socket, buffer, capacity);
        if (count < 0) {
            if (errno == EINTR) continue;
            result = -errno;
            break;
        }
        // One datagram may hold several answers, and of a failed batch there may be several errors: the first counts.
        int status = mnl_cb_run(buffer, (size_t)count, sequence, port, found, context);
        if (status < 0) {
            result = -errno;
            break;
        }
        if (status == MNL_CB_STOP && ++answered >= acknowledgements) break;
    }
    free(buffer);
    mnl_socket_close(socket);
    return result;
}

// MARK: transaction

#define BATCH_BYTES (1 << 20)

struct nf_transaction {
    char *buffer;
    struct mnl_nlmsg_batch *batch;
    uint32_t sequence, first;
    /// The table that must be there before the batch can delete it.
    int count;
};

static void control(struct nf_transaction *transaction, uint16_t type) {
    struct nlmsghdr *header = mnl_nlmsg_put_header(mnl_nlmsg_batch_current(transaction->batch));
    header->nlmsg_type = type;
    header->nlmsg_flags = NLM_F_REQUEST;
    header->nlmsg_seq = transaction->sequence++;
    struct nfgenmsg *message = mnl_nlmsg_put_extra_header(header, sizeof *message);
    message->nfgen_family = AF_UNSPEC;
    message->version = NFNETLINK_V0;
    message->res_id = htons(NFNL_SUBSYS_NFTABLES);
    mnl_nlmsg_batch_next(transaction->batch);
}

struct nf_transaction *nf_begin(void) {
    struct nf_transaction *transaction = calloc(1, sizeof *transaction);
    if (!transaction) return NULL;
    transaction->buffer = malloc(2 * BATCH_BYTES);
    transaction->batch = transaction->buffer ? mnl_nlmsg_batch_start(transaction->buffer, BATCH_BYTES) : NULL;
    if (!transaction->batch) {
        nf_free(transaction);
        return NULL;
    }
    transaction->sequence = transaction->first = (uint32_t)time(NULL);
    control(transaction, NFNL_MSG_BATCH_BEGIN);
    return transaction;
}

void nf_free(struct nf_transaction *transaction) {
    if (!transaction) return;
    if (transaction->batch) mnl_nlmsg_batch_stop(transaction->batch);
    free(transaction->buffer);
    free(transaction);
}

static struct nlmsghdr *next(struct nf_transaction *transaction, uint16_t type, uint16_t flags) {
    return nftnl_nlmsg_build_hdr(mnl_nlmsg_batch_current(transaction->batch), type, NFPROTO_INET,
                                 NLM_F_REQUEST | flags, transaction->sequence++);
}

static int take(struct nf_transaction *transaction) {
    transaction->count++;
    return mnl_nlmsg_batch_next(transaction->batch) ? 0 : -EMSGSIZE;
}

static int put_table(struct nf_transaction *transaction, const char *name, uint16_t type, uint16_t flags) {
    struct nftnl_table *table = nftnl_table_alloc();
    if (!table) return -ENOMEM;
    nftnl_table_set_u32(table, NFTNL_TABLE_FAMILY, NFPROTO_INET);
    nftnl_table_set_str(table, NFTNL_TABLE_NAME, name);
    nftnl_table_nlmsg_build_payload(next(transaction, type, flags), table);
    nftnl_table_free(table);
    return take(transaction);
}

int nf_add_table(struct nf_transaction *transaction, const char *table) {
    return put_table(transaction, table, NFT_MSG_NEWTABLE, NLM_F_CREATE);
}

int nf_delete_table(struct nf_transaction *transaction, const char *table) {
    return put_table(transaction, table, NFT_MSG_DELTABLE, 0);
}

int nf_replace_table(struct nf_transaction *transaction, const char *table) {
    int result = nf_add_table(transaction, table);
    if (!result) result = nf_delete_table(transaction, table);
    return result ? result : nf_add_table(transaction, table);
}

int nf_add_chain(struct nf_transaction *transaction, const char *table, const char *name, const char *type,
                 uint32_t hook, int32_t priority) {
    struct nftnl_chain *chain = nftnl_chain_alloc();
    if (!chain) return -ENOMEM;
    nftnl_chain_set_u32(chain, NFTNL_CHAIN_FAMILY, NFPROTO_INET);
    nftnl_chain_set_str(chain, NFTNL_CHAIN_TABLE, table);
    nftnl_chain_set_str(chain, NFTNL_CHAIN_NAME, name);
    if (type) {
        nftnl_chain_set_str(chain, NFTNL_CHAIN_TYPE, type);
        nftnl_chain_set_u32(chain, NFTNL_CHAIN_HOOKNUM, hook);
        nftnl_chain_set_s32(chain, NFTNL_CHAIN_PRIO, priority);
        nftnl_chain_set_u32(chain, NFTNL_CHAIN_POLICY, NF_ACCEPT);
    }
    nftnl_chain_nlmsg_build_payload(next(transaction, NFT_MSG_NEWCHAIN, NLM_F_CREATE), chain);
    nftnl_chain_free(chain);
    return take(transaction);
}

int nf_commit(struct nf_transaction *transaction) {
    // Only the last message is acknowledged; an error in an earlier one is reported all the same.
    control(transaction, NFNL_MSG_BATCH_END);
    struct nlmsghdr *header = mnl_nlmsg_batch_head(transaction->batch);
    size_t length = mnl_nlmsg_batch_size(transaction->batch);
    struct nlmsghdr *last = NULL;
    for (int rest = (int)length; mnl_nlmsg_ok(header, rest); header = mnl_nlmsg_next(header, &rest))
        if (header->nlmsg_type != NFNL_MSG_BATCH_END) last = header;
    if (last) last->nlmsg_flags |= NLM_F_ACK;
    return netlink_talk(NETLINK_NETFILTER, mnl_nlmsg_batch_head(transaction->batch), length, 0, NULL, NULL, 1);
}

// MARK: rules

struct nf_rule {
    struct nftnl_rule *rule;
};

struct nf_rule *nf_rule_new(const char *table, const char *chain) {
    struct nf_rule *rule = calloc(1, sizeof *rule);
    if (!rule) return NULL;
    rule->rule = nftnl_rule_alloc();
    if (!rule->rule) {
        free(rule);
        return NULL;
    }
    nftnl_rule_set_u32(rule->rule, NFTNL_RULE_FAMILY, NFPROTO_INET);
    nftnl_rule_set_str(rule->rule, NFTNL_RULE_TABLE, table);
    nftnl_rule_set_str(rule->rule, NFTNL_RULE_CHAIN, chain);
    return rule;
}

void nf_rule_free(struct nf_rule *rule) {
    if (!rule) return;
    nftnl_rule_free(rule->rule);
    free(rule);
}

int nf_add_rule(struct nf_transaction *transaction, struct nf_rule *rule) {
    nftnl_rule_nlmsg_build_payload(next(transaction, NFT_MSG_NEWRULE, NLM_F_APPEND | NLM_F_CREATE), rule->rule);
    return take(transaction);
}

static struct nftnl_expr *expression(struct nf_rule *rule, const char *name) {
    struct nftnl_expr *expr = nftnl_expr_alloc(name);
    if (expr) nftnl_rule_add_expr(rule->rule, expr);
    return expr;
}

int nf_load_meta(struct nf_rule *rule, enum nf_meta key) {
    static const uint32_t keys[] = {NFT_META_L4PROTO, NFT_META_NFPROTO, NFT_META_MARK,
                                    NFT_META_IIFNAME, NFT_META_OIFNAME, NFT_META_SKUID};
    struct nftnl_expr *expr = expression(rule, "meta");
    if (!expr) return -ENOMEM;
    nftnl_expr_set_u32(expr, NFTNL_EXPR_META_KEY, keys[key]);
    nftnl_expr_set_u32(expr, NFTNL_EXPR_META_DREG, NFT_REG_1);
    return 0;
}

int nf_load_payload(struct nf_rule *rule, int is_transport, uint32_t offset, uint32_t length) {
    struct nftnl_expr *expr = expression(rule, "payload");
    if (!expr) return -ENOMEM;
    nftnl_expr_set_u32(expr, NFTNL_EXPR_PAYLOAD_BASE,
                       is_transport ? NFT_PAYLOAD_TRANSPORT_HEADER : NFT_PAYLOAD_NETWORK_HEADER);
    nftnl_expr_set_u32(expr, NFTNL_EXPR_PAYLOAD_DREG, NFT_REG_1);
    nftnl_expr_set_u32(expr, NFTNL_EXPR_PAYLOAD_OFFSET, offset);
    nftnl_expr_set_u32(expr, NFTNL_EXPR_PAYLOAD_LEN, length);
    return 0;
}

int nf_load_destination_type(struct nf_rule *rule) {
    struct nftnl_expr *expr = expression(rule, "fib");
    if (!expr) return -ENOMEM;
    nftnl_expr_set_u32(expr, NFTNL_EXPR_FIB_FLAGS, NFTA_FIB_F_DADDR);
    nftnl_expr_set_u32(expr, NFTNL_EXPR_FIB_RESULT, NFT_FIB_RESULT_ADDRTYPE);
    nftnl_expr_set_u32(expr, NFTNL_EXPR_FIB_DREG, NFT_REG_1);
    return 0;
}

int nf_load_transparent_socket(struct nf_rule *rule) {
    struct nftnl_expr *expr = expression(rule, "socket");
    if (!expr) return -ENOMEM;
    nftnl_expr_set_u32(expr, NFTNL_EXPR_SOCKET_KEY, NFT_SOCKET_TRANSPARENT);
    nftnl_expr_set_u32(expr, NFTNL_EXPR_SOCKET_DREG, NFT_REG_1);
    return 0;
}

static int load_connection(struct nf_rule *rule, uint32_t key) {
    struct nftnl_expr *expr = expression(rule, "ct");
    if (!expr) return -ENOMEM;
    nftnl_expr_set_u32(expr, NFTNL_EXPR_CT_KEY, key);
    nftnl_expr_set_u32(expr, NFTNL_EXPR_CT_DREG, NFT_REG_1);
    return 0;
}

int nf_load_connection_direction(struct nf_rule *rule) { return load_connection(rule, NFT_CT_DIRECTION); }
int nf_load_connection_state(struct nf_rule *rule) { return load_connection(rule, NFT_CT_STATE); }
int nf_load_connection_mark(struct nf_rule *rule) { return load_connection(rule, NFT_CT_MARK); }

int nf_bitwise(struct nf_rule *rule, const void *mask, const void *flip, uint32_t length) {
    struct nftnl_expr *expr = expression(rule, "bitwise");
    if (!expr) return -ENOMEM;
    nftnl_expr_set_u32(expr, NFTNL_EXPR_BITWISE_SREG, NFT_REG_1);
    nftnl_expr_set_u32(expr, NFTNL_EXPR_BITWISE_DREG, NFT_REG_1);
    nftnl_expr_set_u32(expr, NFTNL_EXPR_BITWISE_OP, NFT_BITWISE_BOOL);
    nftnl_expr_set_u32(expr, NFTNL_EXPR_BITWISE_LEN, length);
    nftnl_expr_set_data(expr, NFTNL_EXPR_BITWISE_MASK, mask, length);
    nftnl_expr_set_data(expr, NFTNL_EXPR_BITWISE_XOR, flip, length);
    return 0;
}

int nf_compare(struct nf_rule *rule, int is_equal, const void *value, uint32_t length) {
    struct nftnl_expr *expr = expression(rule, "cmp");
    if (!expr) return -ENOMEM;
    nftnl_expr_set_u32(expr, NFTNL_EXPR_CMP_SREG, NFT_REG_1);
    nftnl_expr_set_u32(expr, NFTNL_EXPR_CMP_OP, is_equal ? NFT_CMP_EQ : NFT_CMP_NEQ);
    nftnl_expr_set_data(expr, NFTNL_EXPR_CMP_DATA, value, length);
    return 0;
}

int nf_range(struct nf_rule *rule, const void *low, const void *high, uint32_t length) {
    struct nftnl_expr *expr = expression(rule, "range");
    if (!expr) return -ENOMEM;
    nftnl_expr_set_u32(expr, NFTNL_EXPR_RANGE_SREG, NFT_REG_1);
    nftnl_expr_set_u32(expr, NFTNL_EXPR_RANGE_OP, NFT_RANGE_EQ);
    nftnl_expr_set_data(expr, NFTNL_EXPR_RANGE_FROM_DATA, low, length);
    nftnl_expr_set_data(expr, NFTNL_EXPR_RANGE_TO_DATA, high, length);
    return 0;
}

int nf_counter(struct nf_rule *rule) { return expression(rule, "counter") ? 0 : -ENOMEM; }

int nf_verdict(struct nf_rule *rule, int is_accept) {
    struct nftnl_expr *expr = expression(rule, "immediate");
    if (!expr) return -ENOMEM;
    nftnl_expr_set_u32(expr, NFTNL_EXPR_IMM_DREG, NFT_REG_VERDICT);
    nftnl_expr_set_u32(expr, NFTNL_EXPR_IMM_VERDICT, is_accept ? NF_ACCEPT : NF_DROP);
    return 0;
}

int nf_go_to(struct nf_rule *rule, const char *chain) {
    struct nftnl_expr *expr = expression(rule, "immediate");
    if (!expr) return -ENOMEM;
    nftnl_expr_set_u32(expr, NFTNL_EXPR_IMM_DREG, NFT_REG_VERDICT);
    nftnl_expr_set_u32(expr, NFTNL_EXPR_IMM_VERDICT, (uint32_t)NFT_GOTO);
    nftnl_expr_set_str(expr, NFTNL_EXPR_IMM_CHAIN, chain);
    return 0;
}

int nf_load_immediate(struct nf_rule *rule, const void *value, uint32_t length) {
    struct nftnl_expr *expr = expression(rule, "immediate");
    if (!expr) return -ENOMEM;
    nftnl_expr_set_u32(expr, NFTNL_EXPR_IMM_DREG, NFT_REG_1);
    nftnl_expr_set_data(expr, NFTNL_EXPR_IMM_DATA, value, length);
    return 0;
}

int nf_redirect_transparently(struct nf_rule *rule, uint16_t port) {
    uint16_t wire = htons(port);
    int result = nf_load_immediate(rule, &wire, sizeof wire);
    if (result) return result;
    struct nftnl_expr *expr = expression(rule, "tproxy");
    if (!expr) return -ENOMEM;
    nftnl_expr_set_u32(expr, NFTNL_EXPR_TPROXY_FAMILY, NFPROTO_UNSPEC);
    nftnl_expr_set_u32(expr, NFTNL_EXPR_TPROXY_REG_PORT, NFT_REG_1);
    return 0;
}

int nf_set_mark(struct nf_rule *rule) {
    struct nftnl_expr *expr = expression(rule, "meta");
    if (!expr) return -ENOMEM;
    nftnl_expr_set_u32(expr, NFTNL_EXPR_META_KEY, NFT_META_MARK);
    nftnl_expr_set_u32(expr, NFTNL_EXPR_META_SREG, NFT_REG_1);
    return 0;
}

int nf_set_connection_mark(struct nf_rule *rule) {
    struct nftnl_expr *expr = expression(rule, "ct");
    if (!expr) return -ENOMEM;
    nftnl_expr_set_u32(expr, NFTNL_EXPR_CT_KEY, NFT_CT_MARK);
    nftnl_expr_set_u32(expr, NFTNL_EXPR_CT_SREG, NFT_REG_1);
    return 0;
}

struct text {
    char *bytes;
    size_t capacity, used;
};

static int append_expression(struct nftnl_expr *expr, void *context) {
    struct text *text = context;
    char piece[512];
    const char *name = nftnl_expr_get_str(expr, NFTNL_EXPR_NAME);
    // A counter's numbers are no part of the plan.
    if (strcmp(name, "counter") == 0) {
        piece[0] = 0;
    } else {
        nftnl_expr_snprintf(piece, sizeof piece, expr, NFTNL_OUTPUT_DEFAULT, 0);
    }
    int count = snprintf(text->bytes + text->used, text->capacity - text->used, "[%s %s]", name, piece);
    if (count < 0 || text->used + (size_t)count >= text->capacity) return -1;
    text->used += (size_t)count;
    return 0;
}

static int describe(struct nftnl_rule *rule, char *bytes, size_t capacity) {
    struct text text = {bytes, capacity, 0};
    bytes[0] = 0;
    return nftnl_expr_foreach(rule, append_expression, &text) < 0 ? -EMSGSIZE : (int)text.used;
}

int nf_rule_text(struct nf_rule *rule, char *text, size_t capacity) { return describe(rule->rule, text, capacity); }

// MARK: dumps

struct listing {
    /// NULL for all tables of all families.
    const char *table;
    nf_found found;
    void *context;
};

static int is_wanted(const struct listing *listing, const char *table) {
    return !listing->table || (table && strcmp(table, listing->table) == 0);
}

static int count_packets(struct nftnl_expr *expr, void *context) {
    int64_t *packets = context;
    if (strcmp(nftnl_expr_get_str(expr, NFTNL_EXPR_NAME), "counter") == 0)
        *packets = (int64_t)nftnl_expr_get_u64(expr, NFTNL_EXPR_CTR_PACKETS);
    return 0;
}

static int see_rule(const struct nlmsghdr *header, void *context) {
    struct listing *listing = context;
    struct nftnl_rule *rule = nftnl_rule_alloc();
    if (!rule) return MNL_CB_ERROR;
    char text[8192];
    if (nftnl_rule_nlmsg_parse(header, rule) == 0 && is_wanted(listing, nftnl_rule_get_str(rule, NFTNL_RULE_TABLE)) &&
        describe(rule, text, sizeof text) >= 0) {
        struct nf_entry entry = {.family = (int)nftnl_rule_get_u32(rule, NFTNL_RULE_FAMILY),
                                 .table = nftnl_rule_get_str(rule, NFTNL_RULE_TABLE),
                                 .chain = nftnl_rule_get_str(rule, NFTNL_RULE_CHAIN),
                                 .text = text,
                                 .packets = -1};
        nftnl_expr_foreach(rule, count_packets, &entry.packets);
        listing->found(listing->context, &entry);
    }
    nftnl_rule_free(rule);
    return MNL_CB_OK;
}

static int see_chain(const struct nlmsghdr *header, void *context) {
    struct listing *listing = context;
    struct nftnl_chain *chain = nftnl_chain_alloc();
    if (!chain) return MNL_CB_ERROR;
    if (nftnl_chain_nlmsg_parse(header, chain) == 0 &&
        is_wanted(listing, nftnl_chain_get_str(chain, NFTNL_CHAIN_TABLE))) {
        char text[128] = "plain";
        if (nftnl_chain_is_set(chain, NFTNL_CHAIN_HOOKNUM))
            snprintf(text, sizeof text, "%s hook %u priority %d policy %u",
                     nftnl_chain_get_str(chain, NFTNL_CHAIN_TYPE), nftnl_chain_get_u32(chain, NFTNL_CHAIN_HOOKNUM),
                     nftnl_chain_get_s32(chain, NFTNL_CHAIN_PRIO), nftnl_chain_get_u32(chain, NFTNL_CHAIN_POLICY));
        struct nf_entry entry = {.family = (int)nftnl_chain_get_u32(chain, NFTNL_CHAIN_FAMILY),
                                 .table = nftnl_chain_get_str(chain, NFTNL_CHAIN_TABLE),
                                 .chain = nftnl_chain_get_str(chain, NFTNL_CHAIN_NAME),
                                 .text = text,
                                 .packets = -1};
        listing->found(listing->context, &entry);
    }
    nftnl_chain_free(chain);
    return MNL_CB_OK;
}

static int list(uint16_t type, mnl_cb_t see, struct listing *listing) {
    char request[MNL_NLMSG_HDRLEN + 256];
    uint16_t family = listing->table ? NFPROTO_INET : NFPROTO_UNSPEC;
    struct nlmsghdr *header = nftnl_nlmsg_build_hdr(request, type, family, NLM_F_DUMP, 1);
    return netlink_talk(NETLINK_NETFILTER, header, header->nlmsg_len, 1, see, listing, 1);
}

static int see_table(const struct nlmsghdr *header, void *context) {
    struct nf_table *found = context;
    struct nftnl_table *table = nftnl_table_alloc();
    if (!table) return MNL_CB_ERROR;
    if (nftnl_table_nlmsg_parse(header, table) == 0) {
        found->exists = 1;
        found->flags = nftnl_table_get_u32(table, NFTNL_TABLE_FLAGS);
    }
    nftnl_table_free(table);
    return MNL_CB_OK;
}

int nf_find_table(const char *name, struct nf_table *found) {
    *found = (struct nf_table){0};
    struct nftnl_table *table = nftnl_table_alloc();
    if (!table) return -ENOMEM;
    nftnl_table_set_str(table, NFTNL_TABLE_NAME, name);
    char request[MNL_NLMSG_HDRLEN + 256];
    struct nlmsghdr *header = nftnl_nlmsg_build_hdr(request, NFT_MSG_GETTABLE, NFPROTO_INET, NLM_F_ACK, 1);
    nftnl_table_nlmsg_build_payload(header, table);
    nftnl_table_free(table);
    int result = netlink_talk(NETLINK_NETFILTER, header, header->nlmsg_len, 1, see_table, found, 1);
    return result == -ENOENT ? 0 : result;
}

int nf_list_chains(const char *table, nf_found found, void *context) {
    struct listing listing = {table, found, context};
    return list(NFT_MSG_GETCHAIN, see_chain, &listing);
}

int nf_list_rules(const char *table, nf_found found, void *context) {
    struct listing listing = {table, found, context};
    return list(NFT_MSG_GETRULE, see_rule, &listing);
}
