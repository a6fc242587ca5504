/* SPDX-License-Identifier: MIT */
#ifndef BENCH_VOLLEY_H
#define BENCH_VOLLEY_H

/* volley as a subject, by its public API only. */

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "peer.h"

struct bench_volley_mode {
	const char *name;
	const char *about;
	const char *absent;  /* why this build cannot, or NULL */
	const char *io;      /* backend by name, or NULL for the default */
	uint32_t wait;       /* enum volley_wait */
	bool is_scalar;      /* one call per datagram instead of one per volley */
	bool is_plain;       /* neither GRO in nor GSO out */
	uint32_t n_handlers; /* callback threads per worker */
};

/* The i-th mode, or NULL. The one list; a new feature of the library adds its line there. */
const struct bench_volley_mode *bench_volley_get_mode(size_t i);

struct bench_volley_config {
	const struct bench_volley_mode *mode;
	const char *address;
	uint32_t n_workers;
	uint32_t n_listeners; /* at address, and those after it; 0 is 1 */
	uint32_t n_batch;
	bool is_gated; /* for preload: the worker is held between runs */
};

struct bench_volley;

/* A running server. 0 or -errno. */
int bench_volley_start(const struct bench_volley_config *config, struct bench_volley **ret_volley);
void bench_volley_stop(struct bench_volley *volley);
void bench_volley_get_addr(const struct bench_volley *volley, struct sockaddr_in *ret_addr);
void bench_volley_get_counters(struct bench_volley *volley, struct bench_counters *ret_counters);

/*
 * Gated: let the worker handle exactly n datagrams that are queued already, and hold it again.
 * Gives the CPU time of the worker's thread meanwhile.
 */
int bench_volley_handle(struct bench_volley *volley, uint64_t n, uint64_t *ret_cpu_ns);

/* The time one volley_server_stop() takes. The server may then be started again. */
int bench_volley_time_stop(struct bench_volley *volley, uint64_t *ret_ns);

#endif
