/* SPDX-License-Identifier: MIT */

/*
 * One preloaded run: K datagrams from many addresses are queued in the server's socket, then its
 * loop handles exactly those, and only that is timed, as CPU time of its thread. Nothing runs
 * beside it: no second core, no wake-up, no generator that could be slow. The clients' socket
 * refuses the replies by a filter; the kernel counts them, which proves that each datagram was
 * replied to. It counts a coalesced reply once, so clients with GRO keep theirs, and each is
 * checked afterwards.
 */

#include "preload.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "subjects/server.h"

/* Replies that are not there when nothing came for so long are missing. */
#define QUIET_NS UINT64_C(100000000)

static int open_peer(struct bench_preload *p, uint32_t n_batch, struct sockaddr_in *addr)
{
	socklen_t len = sizeof *addr;

	*addr = (struct sockaddr_in){ .sin_family = AF_INET,
				      .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	p->loop.n_batch = n_batch;
	p->loop.counters = &p->counters;
	p->loop.fd = bench_server_open_socket(addr, false);
	p->loop.fds = &p->loop.fd;
	p->loop.n_fds = 1;
	if (p->loop.fd < 0)
		return p->loop.fd;
	if (getsockname(p->loop.fd, (struct sockaddr *)addr, &len) < 0)
		return -errno;
	return p->subject->peer->open(&p->loop);
}

static int open_volley(struct bench_preload *p, uint32_t n_batch, struct sockaddr_in *addr)
{
	struct bench_volley_config config = { .mode = p->subject->mode,
					      .address = "127.0.0.1:0",
					      .n_workers = 1,
					      .n_batch = n_batch,
					      .is_gated = true };
	int r = bench_volley_start(&config, &p->volley);

	if (r >= 0)
		bench_volley_get_addr(p->volley, addr);
	return r;
}

int bench_preload_open(const struct bench_subject *subject, uint32_t n_batch,
		       const struct bench_load *load, struct bench_preload *ret_preload)
{
	struct bench_preload *p = ret_preload;
	struct bench_load mine = *load;
	int r;

	*p = (struct bench_preload){ .subject = subject, .loop.fd = -1 };
	if (subject->mode != NULL)
		r = open_volley(p, n_batch, &mine.server);
	else if (subject->peer != NULL)
		r = open_peer(p, n_batch, &mine.server);
	else
		r = -EOPNOTSUPP;
	mine.drop_replies = !mine.use_gro;
	p->is_gro = mine.use_gro;
	p->port = ntohs(mine.server.sin_port);
	if (r >= 0)
		r = bench_gen_open(&mine, &p->gen);
	if (r < 0)
		bench_preload_close(p);
	return r;
}

void bench_preload_close(struct bench_preload *p)
{
	bench_gen_close(p->gen);
	bench_volley_stop(p->volley);
	if (p->loop.state != NULL)
		p->subject->peer->close(&p->loop);
	if (p->loop.fd >= 0)
		close(p->loop.fd);
	*p = (struct bench_preload){ .loop.fd = -1 };
}

int bench_preload_push(struct bench_preload *p, uint64_t n)
{
	uint64_t drops = bench_server_read_drops(getpid(), p->port);
	int r = bench_gen_push(p->gen, n);

	if (r < 0)
		return r;
	/* A loop that waits for a dropped datagram never returns. */
	return bench_server_read_drops(getpid(), p->port) == drops ? 0 : -ENOBUFS;
}

int bench_preload_handle(struct bench_preload *p, uint64_t n, uint64_t *ret_cpu_ns)
{
	uint64_t start;
	int r;

	if (p->volley != NULL)
		return bench_volley_handle(p->volley, n, ret_cpu_ns);
	start = bench_thread_cpu_ns();
	r = p->subject->peer->run(&p->loop, n);
	*ret_cpu_ns = bench_thread_cpu_ns() - start;
	return r;
}

static bool has_replies_by_count(struct bench_preload *p, uint64_t n)
{
	uint64_t n_refused = bench_gen_get_refused(p->gen) - p->n_refused;

	p->n_refused += n_refused;
	return (uint32_t)n_refused == n;
}

static bool has_replies_by_look(struct bench_preload *p)
{
	struct bench_gen_counts counts;

	bench_gen_drain(p->gen, QUIET_NS);
	bench_gen_get_counts(p->gen, &counts);
	return counts.unique + counts.unstamped == counts.sent && counts.foreign == 0 &&
	       counts.duplicates == 0;
}

int bench_preload_run(struct bench_preload *p, uint64_t n, uint64_t *ret_cpu_ns)
{
	int r = bench_preload_push(p, n);

	if (r >= 0)
		r = bench_preload_handle(p, n, ret_cpu_ns);
	if (r < 0)
		return r;
	if (p->is_gro ? !has_replies_by_look(p) : !has_replies_by_count(p, n))
		return -EBADMSG;
	return 0;
}
