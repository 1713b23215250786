// nftables over libnftnl and policy routing over libmnl, as the few calls that the capture plan needs.
//
// Functions answer 0 or a count, or the negated errno.
#pragma once

#include <stddef.h>
#include <stdint.h>

// MARK: one nftables transaction

struct nf_transaction;
struct nf_rule;

/// NULL without memory.
struct nf_transaction *nf_begin(void);
void nf_free(struct nf_transaction *transaction);

/// Makes sure the table exists, then deletes it: what follows starts from nothing.
int nf_replace_table(struct nf_transaction *transaction, const char *table);
int nf_delete_table(struct nf_transaction *transaction, const char *table);
int nf_add_table(struct nf_transaction *transaction, const char *table);
/// A base chain when `type` is given, else a plain one that rules jump to.
int nf_add_chain(struct nf_transaction *transaction, const char *table, const char *name, const char *type,
                 uint32_t hook, int32_t priority);
int nf_add_rule(struct nf_transaction *transaction, struct nf_rule *rule);
/// Sends it all; the kernel takes everything or nothing.
int nf_commit(struct nf_transaction *transaction);

// MARK: one rule, expression by expression

struct nf_rule *nf_rule_new(const char *table, const char *chain);
void nf_rule_free(struct nf_rule *rule);

enum nf_meta { NF_META_L4PROTO, NF_META_NFPROTO, NF_META_MARK, NF_META_INPUT_NAME, NF_META_OUTPUT_NAME, NF_META_USER };

int nf_load_meta(struct nf_rule *rule, enum nf_meta key);
/// Network header, or transport header.
int nf_load_payload(struct nf_rule *rule, int is_transport, uint32_t offset, uint32_t length);
int nf_load_destination_type(struct nf_rule *rule);
int nf_load_transparent_socket(struct nf_rule *rule);
int nf_load_connection_direction(struct nf_rule *rule);
int nf_load_connection_state(struct nf_rule *rule);
int nf_load_connection_mark(struct nf_rule *rule);
/// register = (register & mask) ^ flip
int nf_bitwise(struct nf_rule *rule, const void *mask, const void *flip, uint32_t length);
int nf_compare(struct nf_rule *rule, int is_equal, const void *value, uint32_t length);
int nf_range(struct nf_rule *rule, const void *low, const void *high, uint32_t length);
int nf_counter(struct nf_rule *rule);
int nf_verdict(struct nf_rule *rule, int is_accept);
int nf_go_to(struct nf_rule *rule, const char *chain);
/// Uses what the register holds as the port, so load one first.
int nf_redirect_transparently(struct nf_rule *rule, uint16_t port);
int nf_set_mark(struct nf_rule *rule);
int nf_set_connection_mark(struct nf_rule *rule);
int nf_load_immediate(struct nf_rule *rule, const void *value, uint32_t length);

/// The rule as text, without counters, to compare it with another. Answers the length.
int nf_rule_text(struct nf_rule *rule, char *text, size_t capacity);

// MARK: what the kernel holds

/// A chain or a rule. The strings live as long as the call that hands it over.
struct nf_entry {
    /// NFPROTO_INET and its kin.
    int family;
    const char *table, *chain;
    /// Of a chain: type, hook, priority and policy, or `plain`. Of a rule: its expressions.
    const char *text;
    /// What the rule's counter has counted; -1 where it has none.
    int64_t packets;
};
typedef void (*nf_found)(void *context, const struct nf_entry *entry);

struct nf_table {
    int exists;
    /// NFT_TABLE_F_*: a dormant table's rules do nothing.
    uint32_t flags;
};

/// Looks for the table `inet NAME`.
int nf_find_table(const char *name, struct nf_table *found);
/// Calls back for each chain of the table `inet NAME`, or with NULL of all tables, in no order. -EINTR when the rules
/// changed meanwhile: ask again.
int nf_list_chains(const char *table, nf_found found, void *context);
/// Calls back for each rule, in the order of each chain.
int nf_list_rules(const char *table, nf_found found, void *context);

/// Sends a datagram with the mark from this host to itself: 1 when a rule refused it, 0 when it got through. Needs the
/// capability NET_RAW.
int nf_canary(uint32_t mark);

// MARK: policy routing

struct nf_policy {
    int is_ipv6;
    uint32_t priority;
    uint32_t mark, mark_mask;
    /// FR_ACT_*: where to look, or what becomes of the packet.
    uint8_t action;
    /// Where the route is looked up; 0 for nowhere.
    uint32_t table;
    /// Source prefix; length 0 for any.
    uint8_t source[16];
    uint8_t source_length;
    /// Asks for an input interface: `lo`, which packets of this host have, or another.
    int comes_from_loopback, comes_from_elsewhere;
    /// Asks for more than this struct holds.
    int has_other_selectors;
};

int nf_policy_add(const struct nf_policy *policy);
int nf_policy_delete(const struct nf_policy *policy);
/// Answers how many there are, which may be more than there is room for.
int nf_policy_list(int is_ipv6, struct nf_policy *list, int capacity);

/// `local default dev lo table T`. -EACCES where IPv6 is switched off on lo.
int nf_route_add(int is_ipv6, uint32_t table);
int nf_route_delete(int is_ipv6, uint32_t table);

/// The routes of a table.
struct nf_routes {
    int has_ours, others;
};

int nf_routes(int is_ipv6, uint32_t table, struct nf_routes *found);
int nf_routes_delete_others(int is_ipv6, uint32_t table);

// MARK: sockets

struct nf_listener {
    int is_ipv6;
    /// Network order; IPv4 fills 4 bytes.
    uint8_t address[16];
    uint16_t port;
    uint32_t user;
    /// IP_TRANSPARENT: 1 or 0, -1 where the kernel does not say.
    int is_transparent;
    /// SO_MARK, -1 where the kernel does not say: it tells nobody but NET_ADMIN.
    int64_t mark;
};

/// The listening TCP sockets of this network namespace, by sock_diag(7), which needs no privilege. Answers how
/// many there are, which may be more than there is room for.
int nf_listeners(int is_ipv6, struct nf_listener *list, int capacity);
