/* SPDX-License-Identifier: MIT */
#ifndef BENCH_PROGRAM_H
#define BENCH_PROGRAM_H

/*
 * volley-echo itself as a server: started, found by the port it prints, ended, and its statistics
 * read. server.c's second half.
 */

#include "peer.h"
#include "process.h"

int bench_program_start(const struct bench_server_config *config, struct bench_server *server,
			const char **ret_why);
void bench_program_stop(struct bench_server *server, struct bench_counters *ret_counters);

#endif
