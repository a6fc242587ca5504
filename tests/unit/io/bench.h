/* SPDX-License-Identifier: MIT */
#ifndef TESTS_UNIT_IO_BENCH_H
#define TESTS_UNIT_IO_BENCH_H

/*
 * One backend, one socket, one client. Each test runs on both socket backends, because the layers
 * above must not be able to tell them apart, but for the number of system calls.
 */

#include <criterion/criterion.h>
#include <string.h>
#include <unistd.h>

#include "io/io.h"
#include "io/io_ops.h"
#include "lib/loopback.h"
#include "sys/probe.h"

static const char *const names[] = { "mmsg", "msg" };
enum { N_NAMES = 2 };

/* One backend with one socket, and a client. */
struct bench {
	const char *name;
	struct vly_slots slots;
	struct vly_io *io;
	int fd;
	int client;
	struct volley_addr addr; /* of fd */
	struct volley_addr client_addr;
};

static inline void attach(struct bench *b, uint32_t listener, int fd, int family, uint32_t want)
{
	struct vly_io_sock port = { .fd = fd, .family = family, .want = want };

	cr_assert_eq(vly_cmsg_enable(fd, family, want), 0);
	cr_assert_eq(vly_io_attach(b->io, listener, &port), 0);
}

static inline void open_bench(struct bench *b, const char *name, uint32_t n_slots,
			      const char *address, uint32_t want)
{
	b->name = name;

	cr_assert_eq(vly_slots_init(&b->slots, NULL, n_slots, 1500), 0);
	cr_assert_eq(vly_io_open(name, &b->slots, &b->io), 0);
	b->fd = loopback_open(address, &b->addr);
	b->client = loopback_open("127.0.0.1:0", &b->client_addr);
	attach(b, 0, b->fd, b->addr.sa.sa_family, want);
}

static inline void close_bench(struct bench *b)
{
	vly_io_close(b->io);
	vly_slots_fini(&b->slots);
	close(b->fd);
	close(b->client);
}

static inline bool is_batched(const struct bench *b)
{
	return strcmp(b->name, "mmsg") == 0;
}

static inline bool has(enum vly_probe_call call)
{
	struct vly_probe probe;

	cr_assert_eq(vly_probe_run(&probe), 0);
	return probe.errors[call] >= 0;
}

/* Replies to the client, alike but for the payload. */
static inline struct vly_tx make_tx(const struct bench *b, const char *text)
{
	return (struct vly_tx){ .data = (const uint8_t *)text,
				.len = (uint32_t)strlen(text),
				.peer = &b->client_addr,
				.n_segments = 1 };
}

static inline void expect_client_gets(const struct bench *b, const char *text,
				      struct volley_addr *ret_from)
{
	uint8_t buf[2048];
	int n = loopback_recv(b->client, buf, sizeof buf, ret_from);

	cr_assert_eq(n, (int)strlen(text), "%s: %d bytes instead of \"%s\"", b->name, n, text);
	cr_assert_arr_eq(buf, text, (size_t)n, "%s: not \"%s\"", b->name, text);
}

#endif
