/* SPDX-License-Identifier: MIT */
#ifndef BENCH_PATH_H
#define BENCH_PATH_H

/*
 * What lies between generator and server: the loopback device, or a veth pair between two network
 * namespaces.
 */

#include <stdint.h>

struct bench_path {
	const char *name; /* in words, for a table's title; NULL on loopback */
	int server_netns; /* where servers have their sockets; -1: where everybody is */
	int client_netns;
	uint32_t server; /* first address of servers, host order */
	uint32_t source; /* first address of clients */
};

/* Loopback: nothing to be made. */
void bench_path_init(struct bench_path *path);

/*
 * Make two namespaces and the pair, and move the calling process, which must have one thread, into
 * the clients'. They are anonymous: they go when the last process in them ends, however it ends. 0,
 * or -errno after a sentence on stderr.
 */
int bench_path_open_veth(struct bench_path *path);

/* Move the calling thread to the servers' side, and back. 0 or -errno. */
int bench_path_enter_server(const struct bench_path *path);
int bench_path_leave_server(const struct bench_path *path);

#endif
