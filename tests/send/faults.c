/* SPDX-License-Identifier: MIT */

/*
 * Every call of a worker's cycle fails once with every errno of its man page, one at a time, while
 * two clients ask. Nothing may crash, hang or spin; no request may be lost, since a failed call has
 * taken none; and what was not replied to must be counted by name.
 *
 * The calls are those that lib/fault.h wraps: the data path's system calls, the read of the
 * eventfd, event_add. Inside libevent, and in the window of the cancellation point, nothing can be
 * injected; the unit tests of the loops and the stepping of the window are about those.
 */

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <volley/volley.h>

#include "base/compiler.h"
#include "lib/check.h"
#include "lib/fault.h"
#include "lib/ledger.h"
#include "lib/listeners.h"
#include "lib/loopback.h"
#include "sys/clock.h"

/* recvmmsg(2), sendmmsg(2), recvmsg(2), sendmsg(2), udp(7), ip(7), read(2), epoll_ctl(2). */
static const int errors[] = {
	EACCES,      EAGAIN,  EALREADY,     EBADF,       ECONNREFUSED, ECONNRESET, EDESTADDRREQ,
	EFAULT,      EINTR,   EINVAL,       EIO,         EISCONN,      EMSGSIZE,   ENETDOWN,
	ENETUNREACH, ENOBUFS, ENOMEM,       ENOPROTOOPT, ENOTCONN,     ENOTSOCK,   EOPNOTSUPP,
	EPERM,       EPIPE,   EHOSTUNREACH, ENOSPC,
};

enum { N_CLIENTS = 2, N_REQUESTS = 8, MAX_NTH = 200 };

/* An exchange takes some milliseconds, with a pause of ENOBUFS in it; only a hang takes so long. */
#define PATIENCE_NS UINT64_C(5000000000)

/* A volley of one or many, a retry by time, a post: some tens at most. A spin makes thousands. */
enum { MAX_WAKES = 200 };

struct bench {
	struct volley_server *server;
	const struct volley_addr *addr;
	int clients[N_CLIENTS];
	uint64_t n_asked;
	uint64_t n_replied;
};

static void echo(struct volley_worker *worker, struct volley_packet *packets, size_t n, void *arg)
{
	(void)worker;
	(void)arg;
	for (size_t i = 0; i < n; i++)
		volley_packet_reply(&packets[i], packets[i].data, packets[i].len);
}

static struct volley_stats read_stats(struct bench *bench)
{
	struct volley_stats stats = { .size = sizeof stats };

	REQUIRE(volley_server_get_stats(bench->server, &stats) == 0);
	return stats;
}

static void read_replies(struct bench *bench)
{
	uint8_t data[256];

	for (int i = 0; i < N_CLIENTS; i++)
		while (recv(bench->clients[i], data, sizeof data, MSG_DONTWAIT) >= 0)
			bench->n_replied++;
}

/* Until every request was delivered, nothing waits, and what was sent has come. */
static bool settle(struct bench *bench)
{
	uint64_t end_ns = vly_clock_get_ns() + PATIENCE_NS;

	do {
		struct volley_stats stats = read_stats(bench);

		read_replies(bench);
		if (stats.delivered == bench->n_asked && stats.tx_queued == 0 &&
		    stats.tx_sent == bench->n_replied)
			return true;
		usleep(50); /* the worker may share our CPU */
	} while (vly_clock_get_ns() < end_ns);
	return false;
}

/* One fault, one exchange. False when it did not come to the nth call. */
static bool exchange(struct bench *bench, enum fault_function function, unsigned int nth, int error)
{
	struct volley_stats before = read_stats(bench);
	struct volley_stats after;
	const char *fault;
	bool settled;
	bool fired;

	fault_arm(function, nth, error);
	for (int i = 0; i < N_REQUESTS; i++)
		for (int k = 0; k < N_CLIENTS; k++)
			loopback_send(bench->clients[k], bench->addr, (uint8_t)i, 64);
	bench->n_asked += (uint64_t)N_REQUESTS * N_CLIENTS;
	settled = settle(bench);
	fired = fault_disarm() > 0;
	after = read_stats(bench);
	if (!CHECK(settled))
		fprintf(stderr,
			"call %u, %s: asked %llu delivered %llu sent %llu came %llu queued %llu\n",
			nth, strerror(error), (unsigned long long)bench->n_asked,
			(unsigned long long)after.delivered, (unsigned long long)after.tx_sent,
			(unsigned long long)bench->n_replied, (unsigned long long)after.tx_queued);
	fault = ledger_find_server_fault(bench->server);
	if (!CHECK(fault == NULL))
		fprintf(stderr, "call %u, %s: %s\n", nth, strerror(error), fault);
	if (!CHECK(after.wakes - before.wakes <= MAX_WAKES))
		fprintf(stderr, "call %u, %s: %llu wakes\n", nth, strerror(error),
			(unsigned long long)(after.wakes - before.wakes));
	/* One failing call costs one reply at most, but for the ones it is tried again for. */
	CHECK(ledger_sum(after.tx_dropped, VOLLEY_TX_N_DROPS) -
		      ledger_sum(before.tx_dropped, VOLLEY_TX_N_DROPS) <=
	      1);
	return fired && settled;
}

static void sweep(const char *io, uint32_t wait, uint32_t flags)
{
	static const char *const waits[] = { "event", "block" };
	struct bench bench = { .n_asked = 0 };
	unsigned int n_faults = 0;

	REQUIRE(volley_server_new(VOLLEY_CONFIG(.n_workers = 1, .io = io, .wait = wait),
				  &bench.server) == 0);
	REQUIRE(volley_server_listen(bench.server, "127.0.0.1:0",
				     VOLLEY_LISTEN(.on_batch = echo, .flags = flags), NULL) == 0);
	bench.addr = LISTENER_ADDR(bench.server, 0);
	for (int i = 0; i < N_CLIENTS; i++)
		bench.clients[i] = loopback_open("127.0.0.1:0", NULL);
	REQUIRE(volley_server_start(bench.server) == 0);
	for (size_t i = 0; i < VLY_ARRAY_SIZE(errors); i++)
		for (unsigned int nth = 1; nth < MAX_NTH; nth++) {
			if (!exchange(&bench, FAULT_ANY, nth, errors[i]))
				break;
			n_faults++;
		}
	CHECK(n_faults > VLY_ARRAY_SIZE(errors)); /* more than one call of the cycle was reached */
	printf("%s, %s%s: %u faults\n", io, waits[wait],
	       flags & VOLLEY_LISTEN_NO_COALESCE ? ", plain" : "", n_faults);
	CHECK(volley_server_stop(bench.server) == 0);
	CHECK(volley_server_free(bench.server) == 0);
	for (int i = 0; i < N_CLIENTS; i++)
		close(bench.clients[i]);
}

int main(void)
{
	static const char *const ios[] = { "mmsg", "msg" };

	alarm(240); /* a hang that the patience does not see */
	for (size_t io = 0; io < VLY_ARRAY_SIZE(ios); io++)
		for (uint32_t wait = VOLLEY_WAIT_EVENT; wait <= VOLLEY_WAIT_BLOCK; wait++) {
			sweep(ios[io], wait, 0);
			sweep(ios[io], wait, VOLLEY_LISTEN_NO_COALESCE);
			sweep(ios[io], wait, VOLLEY_LISTEN_REPORT_ERRORS);
		}
	return check_done();
}
