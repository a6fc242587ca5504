/* SPDX-License-Identifier: MIT */

/*
 * More than a link takes, by who would rather wait than lose: a send buffer of 64 KiB, a link of
 * 200 Mbit/s, and a stream that goes on whenever on_writable says so. All of it arrives, in order,
 * nothing is dropped anywhere, most of it in company although it stood in line; in each wait
 * strategy.
 */

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <volley/volley.h>

#include "lib/check.h"
#include "lib/ledger.h"
#include "lib/loopback.h"
#include "lib/namespace.h"
#include "lib/skip.h"

enum { N = 15000, LEN = 1000, N_AT_ONCE = 256, SNDBUF_BYTES = 65536 };

struct stream {
	struct volley_server *server;
	struct volley_listener listener;
	struct volley_addr peer;
	uint32_t next;
	uint32_t n_waits; /* times that it was told to wait, */
	uint32_t n_calls; /* and times that it was called back */
};

static void pump(struct volley_worker *worker, void *arg)
{
	struct stream *stream = arg;
	uint8_t data[LEN] = { 0 };

	for (int i = 0; i < N_AT_ONCE && stream->next < N; i++) {
		int r;

		memcpy(data, &stream->next, sizeof stream->next);
		r = volley_worker_send(worker, stream->listener, &stream->peer, data, sizeof data,
				       VOLLEY_SEND(.flags = VOLLEY_SEND_IF_ROOM));
		if (r == -EAGAIN) {
			stream->n_waits++;
			return;
		}
		CHECK(r == 0);
		stream->next++;
	}
	if (stream->next < N)
		CHECK(volley_server_post_to(stream->server, volley_worker_get_index(worker), pump,
					    stream) == 0);
}

static void on_writable(struct volley_worker *worker, struct volley_listener listener, void *arg)
{
	struct stream *stream = arg;

	CHECK(listener.id == stream->listener.id);
	CHECK(volley_worker_get_tx_queued(worker, listener) == 0);
	stream->n_calls++;
	pump(worker, stream);
}

static void ignore(struct volley_worker *worker, struct volley_packet *packets, size_t n, void *arg)
{
	(void)worker, (void)packets, (void)n, (void)arg;
}

/* In order; a reader that waits for a second in vain has missed one. */
static void read_all(int fd)
{
	uint8_t data[LEN + 1];

	for (uint32_t i = 0; i < N; i++) {
		uint32_t number = UINT32_MAX;
		int r = loopback_recv(fd, data, sizeof data, NULL);

		memcpy(&number, data, sizeof number);
		if (!CHECK(r == LEN && number == i)) {
			fprintf(stderr, "%u comes after %d, with %d bytes\n", number, (int)i - 1,
				r);
			return;
		}
	}
}

static void play(uint32_t wait)
{
	static const char *const names[] = { "event", "block", "spin" };
	struct volley_stats stats = { .size = sizeof stats };
	struct stream stream = { .next = 0 };
	int n_bytes = 32 << 20;
	int fd = loopback_open("127.0.0.1:0", &stream.peer);

	setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &n_bytes, sizeof n_bytes);
	REQUIRE(volley_server_new(
			VOLLEY_CONFIG(.n_workers = 1, .wait = wait, .backlog_us = 5000000),
			&stream.server) == 0);
	REQUIRE(volley_server_listen(stream.server, "127.0.0.1:0",
				     VOLLEY_LISTEN(.on_batch = ignore, .on_writable = on_writable,
						   .arg = &stream, .sndbuf_bytes = SNDBUF_BYTES),
				     &stream.listener) == 0);
	REQUIRE(volley_server_start(stream.server) == 0);
	REQUIRE(volley_server_post(stream.server, pump, &stream) == 0);
	read_all(fd);
	CHECK(volley_server_stop(stream.server) == 0);
	CHECK(volley_server_get_stats(stream.server, &stats) == 0);
	CHECK(stats.tx_requested == N && stats.tx_sent == N);
	CHECK(stream.n_waits > 10 && stream.n_waits == stream.n_calls);
	CHECK(stats.tx_messages < N / 10);
	CHECK(ledger_find_server_fault(stream.server) == NULL);
	printf("%s: %u datagrams in %llu messages, told to wait %u times\n", names[wait], N,
	       (unsigned long long)stats.tx_messages, stream.n_waits);
	CHECK(volley_server_free(stream.server) == 0);
	close(fd);
}

int main(void)
{
	alarm(100);
	if (!namespace_enter())
		SKIP("no network namespaces");
	if (!namespace_run("ip link set lo mtu 1500") ||
	    !namespace_run("tc qdisc add dev lo root tbf rate 200mbit burst 70k limit 64m"))
		SKIP("no tbf here");
	for (uint32_t wait = VOLLEY_WAIT_EVENT; wait <= VOLLEY_WAIT_SPIN; wait++)
		play(wait);
	return check_done();
}
