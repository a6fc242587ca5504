/* SPDX-License-Identifier: MIT */
#ifndef TESTS_LIB_FAKE_IO_H
#define TESTS_LIB_FAKE_IO_H

/*
 * A scripted backend: what the engine receives and what becomes of what it sends is written down
 * before, and everything it sends is kept. With it a test drives vly_pipeline_run_once() and its
 * like on its own thread, without sockets and without a worker's thread:
 *
 *	struct fake_server fake;
 *
 *	fake_server_open(&fake, NULL, "127.0.0.1:0", VOLLEY_LISTEN(.on_batch = echo));
 *	fake_io_recv(fake.io, &(struct fake_datagram){ .data = "abc", .len = 3 });
 *	fake_io_send_result(fake.io, -EPERM);
 *	fake_server_run(&fake);
 *	cr_assert_eq(fake_io_n_sent(fake.io), 0);
 *	fake_server_close(&fake);       (the ledger must balance)
 *
 * Every function ends the process with a message when it is misused or out of room.
 */

#include <stddef.h>
#include <stdint.h>

#include <volley/server.h>
#include <volley/stats.h>

#include "io/io_ops.h"
#include "path/worker.h"

/* One message to receive. */
struct fake_datagram {
	uint32_t listener;
	const void *data; /* NULL: zeros */
	uint32_t len;     /* as reported; more than the slot holds is cut like the kernel does */
	uint32_t flags;   /* enum vly_slot_flag */
	uint32_t segment_bytes;
	const struct volley_addr *peer;   /* NULL: 192.0.2.1, with a port of its own */
	const struct vly_cmsg_info *info; /* NULL: none */
};

/* One datagram that was sent; those of one segmented message have the same `message`. */
struct fake_sent {
	uint32_t listener;
	uint32_t call;    /* which send call, from 0 */
	uint32_t message; /* which accepted message, from 0 */
	struct volley_addr peer;
	struct volley_addr local; /* len 0: the socket's own */
	uint32_t ifindex;
	uint32_t len;
	uint8_t *data;
};

struct fake_io;

/* An IPv4 address 192.0.2.1 with this port; never one of ours. Valid for the process's life. */
const struct volley_addr *fake_peer(uint16_t port);

/* Write the script. Messages come in order, as many in one call as are asked for. */
void fake_io_recv(struct fake_io *fake, const struct fake_datagram *datagram);
/* n datagrams of `len` bytes with peers of their own; the payload's first byte is the number. */
void fake_io_recv_n(struct fake_io *fake, uint32_t listener, uint32_t n, uint32_t len);
/* Here a receive call of the listener ends: what follows is for the next one. */
void fake_io_recv_end(struct fake_io *fake, uint32_t listener);
/* Here a receive call fails. */
void fake_io_recv_error(struct fake_io *fake, uint32_t listener, int error);

/* The next send call that has no result yet: accept at most r messages, or fail with r < 0. */
void fake_io_send_result(struct fake_io *fake, int r);
/* Every send call after those with a result of their own; INT_MAX, the default, accepts all. */
void fake_io_send_always(struct fake_io *fake, int r);

/* What happened. */
uint32_t fake_io_n_sent(const struct fake_io *fake);
const struct fake_sent *fake_io_sent(const struct fake_io *fake, uint32_t i);
uint32_t fake_io_n_recv_calls(const struct fake_io *fake);
uint32_t fake_io_n_send_calls(const struct fake_io *fake);
/* Messages handed to send calls, accepted or not; also those above what one call may take. */
uint32_t fake_io_max_send(const struct fake_io *fake);

/* Take the place of a worker's backend, which is closed; the worker closes the fake one. */
struct fake_io *fake_io_install(struct volley_worker *worker);

/* A server of one worker with the fake backend and one listener. */
struct fake_server {
	struct volley_server *server;
	struct volley_worker *worker;
	struct fake_io *io;
	const struct volley_addr *addr; /* of listener 0 */
	struct volley_listener listener;
};

void fake_server_open(struct fake_server *fake, const struct volley_config *config,
		      const char *address, const struct volley_listen_config *listen);
/* One more listener; its index. */
uint32_t fake_server_listen(struct fake_server *fake, const char *address,
			    const struct volley_listen_config *listen);
/* A pass over all sockets: everything the script has, if the budget allows. Messages received. */
uint32_t fake_server_run(struct fake_server *fake);
/* The counters as others see them; the process ends with a message when they do not balance. */
struct volley_stats fake_server_stats(struct fake_server *fake);
/* Drop what still waits as `stopped`, see that the ledger balances, and free. */
void fake_server_close(struct fake_server *fake);

#endif
