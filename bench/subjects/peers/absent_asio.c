/* SPDX-License-Identifier: MIT */

/* Stands in the list when Asio or a C++ compiler was not there at build time. */

#include "peers.h"

const struct bench_peer bench_peer_asio = {
	.name = "asio",
	.about = "standalone Asio",
	.absent = "not built: Asio or a C++ compiler is missing (Debian: libasio-dev, g++)",
};
