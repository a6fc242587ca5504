/* SPDX-License-Identifier: MIT */
#ifndef BENCH_PRELOAD_H
#define BENCH_PRELOAD_H

/* A subject in this process, made to handle exactly K datagrams that are queued already. */

#include "load/generator.h"
#include "subjects/peer.h"
#include "subjects/subject.h"
#include "subjects/volley.h"

struct bench_preload {
	const struct bench_subject *subject;
	struct bench_counters counters;
	struct bench_loop loop;
	struct bench_volley *volley;
	struct bench_gen *gen;
	uint16_t port;
	uint64_t n_refused;
	bool is_gro; /* the clients keep their replies: read and check them */
};

/* 0 or -errno. The calling thread's CPUs are where all of it runs. */
int bench_preload_open(const struct bench_subject *subject, uint32_t n_batch,
		       const struct bench_load *load, struct bench_preload *ret_preload);
void bench_preload_close(struct bench_preload *preload);

/*
 * Queue n datagrams and have them replied to. The CPU time that took; -ENOBUFS when the socket does
 * not hold n, -EBADMSG when not all were replied to.
 */
int bench_preload_run(struct bench_preload *preload, uint64_t n, uint64_t *ret_cpu_ns);

/* Its two halves. */
int bench_preload_push(struct bench_preload *preload, uint64_t n);
int bench_preload_handle(struct bench_preload *preload, uint64_t n, uint64_t *ret_cpu_ns);

#endif
