// One request over netlink; private to this module.
#pragma once

#include <libmnl/libmnl.h>
#include <stddef.h>
#include <stdint.h>

/// Sends a request and reads its answers; `found` sees each message of a dump.
int netlink_talk(int bus, const void *request, size_t length, uint32_t sequence, mnl_cb_t found, void *context,
                 int acknowledgements);
