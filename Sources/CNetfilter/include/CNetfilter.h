#pragma once
#include <libmnl/libmnl.h>
#include <libnftnl/common.h>
