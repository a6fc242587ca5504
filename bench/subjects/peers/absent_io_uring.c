/* SPDX-License-Identifier: MIT */

/* Stands in the list when liburing was not there at build time. */

#include "peers.h"

const struct bench_peer bench_peer_io_uring = {
	.name = "io_uring",
	.about = "io_uring, multishot recvmsg",
	.absent = "not built: liburing 2.2 or later is missing (Debian: liburing-dev)",
};
