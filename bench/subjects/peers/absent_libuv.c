/* SPDX-License-Identifier: MIT */

/* Stands in the list when libuv was not there at build time. */

#include "peers.h"

#define ABSENT "not built: libuv is missing (Debian: libuv1-dev)"

const struct bench_peer bench_peer_libuv = { .name = "libuv", .about = "libuv", .absent = ABSENT };
const struct bench_peer bench_peer_libuv_mmsg = { .name = "libuv-mmsg",
						  .about = "libuv, UV_UDP_RECVMMSG",
						  .absent = ABSENT };
