/* SPDX-License-Identifier: MIT */
#ifndef BENCH_PROCESS_H
#define BENCH_PROCESS_H

/* A subject in a process of its own: what it is told, and what is kept of it. Only the structs. */

#include <netinet/in.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/cpus.h"
#include "load/path.h"
#include "subject.h"

#define BENCH_SERVER_MAX_WORKERS   64
#define BENCH_SERVER_MAX_LISTENERS 64

struct bench_server_config {
	const struct bench_subject *subject;
	uint32_t n_workers;
	uint32_t n_listeners; /* at address, address + 1 ..., one port */
	uint32_t n_batch;
	struct bench_cpus cpus; /* worker i runs on the (i mod n)-th; 0: anywhere */
	uint32_t address;       /* IPv4, host order */
	uint16_t port;          /* 0 picks one */
	const struct bench_path *path;
};

struct bench_server {
	pid_t pid;
	int control; /* our end; its closing ends the server */
	int output;  /* what a program prints at its end */
	struct sockaddr_in addr;
	struct bench_shared *shared;
	const struct bench_subject *subject;
	uint64_t drops_before;
};

#endif
