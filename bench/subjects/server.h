/* SPDX-License-Identifier: MIT */
#ifndef BENCH_SERVER_H
#define BENCH_SERVER_H

/* A subject that serves in a process of its own, and what can be read about it from outside. */

#include <netinet/in.h>
#include <stdint.h>
#include <sys/types.h>

#include "peer.h"
#include "process.h"

/* Everything at one instant, since the server started. */
struct bench_sample {
	uint64_t now_ns;
	uint64_t cpu_ns;        /* user and system, all threads */
	uint64_t wait_ns;       /* ready to run, but somebody else had the CPU; all threads */
	uint64_t drops;         /* messages the kernel dropped at its sockets */
	uint64_t backlog_drops; /* and before any socket, on the whole machine */
	struct bench_counters counters;
};

/* Returns when it is bound and ready. 0 or -errno; *ret_why then gets a sentence. */
int bench_server_start(const struct bench_server_config *config, struct bench_server *ret_server,
		       const char **ret_why);

/* A program's counters are only known at its end, and are 0 here. */
int bench_server_sample(struct bench_server *server, struct bench_sample *ret_sample);

/* Stop and reap; ret_counters (may be NULL) gets what a program said at its end. */
void bench_server_stop(struct bench_server *server, struct bench_counters *ret_counters);

/* Serve in this process until SIGINT or SIGTERM: `volley-bench serve`. */
int bench_server_run(const struct bench_server_config *config);

/*
 * What the kernel dropped, so far, at all UDP sockets that are bound to a port in the network
 * namespace of a process.
 */
uint64_t bench_server_read_drops(pid_t pid, uint16_t port);

/*
 * A UDP socket as all peers get it: 4 MiB of buffers each way, SO_REUSEPORT if shared. fd or
 * -errno.
 */
int bench_server_open_socket(const struct sockaddr_in *addr, bool shared);

#endif
