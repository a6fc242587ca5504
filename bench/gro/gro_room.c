/* SPDX-License-Identifier: MIT */

/*
 * Does UDP_GRO lose datagrams where the receive buffer is small? A coalesced message is dropped as
 * a whole, and it is also kept in less room.
 *
 *	gro-room [ROUNDS]
 *
 * A server with one worker is sent twice as much as it can serve: its callback takes two of the
 * sender's turns for each datagram. For each receive buffer, size and burst (datagrams in one
 * message of the sender, by UDP_SEGMENT) one socket with UDP_GRO and one without are flooded in
 * turns, ABBA. The figure is the number of datagrams that were delivered with, over those without,
 * and its 95 % interval. 64 datagrams of 1,200 bytes do not fit in one message: 54 do.
 */

#include <netinet/in.h>
#include <netinet/udp.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <volley/volley.h>

#include "common/clock.h"
#include "common/cpus.h"
#include "common/statistics.h"

#define TRIAL_NS UINT64_C(150000000)

enum { MAX_ROUNDS = 200, N_PAYLOAD = 65507 };

struct cell {
	uint32_t rcvbuf_bytes; /* as getsockopt tells it */
	uint32_t len;
	uint32_t burst;
};

static atomic_ullong work_ns; /* for each datagram */
static atomic_ullong n_delivered;

static void die(const char *what)
{
	perror(what);
	exit(2);
}

static void consume(struct volley_worker *worker, struct volley_packet *packets, size_t n,
		    void *arg)
{
	uint64_t end = bench_now_ns() + n * atomic_load(&work_ns);

	(void)worker, (void)packets, (void)arg;
	while (bench_now_ns() < end)
		;
	atomic_fetch_add(&n_delivered, n);
}

static int open_socket(bool gro, struct sockaddr_in *ret_addr)
{
	int on = gro;
	socklen_t n = sizeof *ret_addr;
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	*ret_addr = (struct sockaddr_in){ .sin_family = AF_INET,
					  .sin_addr = { htonl(INADDR_LOOPBACK) } };
	if (fd < 0 || setsockopt(fd, IPPROTO_UDP, UDP_GRO, &on, sizeof on) < 0 ||
	    bind(fd, (struct sockaddr *)ret_addr, n) < 0 ||
	    getsockname(fd, (struct sockaddr *)ret_addr, &n) < 0)
		die("gro-room: socket");
	return fd;
}

static struct volley_server *start(const struct cell *cell, bool gro, struct sockaddr_in *ret_addr)
{
	int fd = open_socket(gro, ret_addr);
	struct volley_server *server;

	if (volley_server_new(VOLLEY_CONFIG(.n_workers = 1), &server) < 0 ||
	    volley_server_adopt(
		    server, &fd, 1,
		    VOLLEY_LISTEN(.on_batch = consume, .rcvbuf_bytes = cell->rcvbuf_bytes / 2),
		    NULL) < 0 ||
	    volley_server_start(server) < 0)
		die("gro-room: server");
	return server;
}

/* Send for one trial's time; how many datagrams that was. */
static uint64_t flood(const struct cell *cell, const struct sockaddr_in *to)
{
	static char payload[N_PAYLOAD];
	int len = (int)cell->len;
	size_t n_message = (size_t)cell->len * cell->burst;
	uint64_t end = bench_now_ns() + TRIAL_NS;
	uint64_t n = 0;
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || connect(fd, (const struct sockaddr *)to, sizeof *to) < 0 ||
	    (cell->burst > 1 && setsockopt(fd, IPPROTO_UDP, UDP_SEGMENT, &len, sizeof len) < 0))
		die("gro-room: sender");
	while (bench_now_ns() < end)
		if (send(fd, payload, n_message, 0) == (ssize_t)n_message)
			n += cell->burst;
	close(fd);
	return n;
}

/* Datagrams that were delivered in one trial. */
static double measure(const struct cell *cell, bool gro)
{
	struct sockaddr_in to;
	struct volley_server *server = start(cell, gro, &to);

	atomic_store(&n_delivered, 0);
	flood(cell, &to);
	volley_server_free(server);
	return (double)atomic_load(&n_delivered);
}

/* What the sender can do decides how much work a datagram is: twice its turn. */
static void calibrate(const struct cell *cell)
{
	struct sockaddr_in to;
	struct volley_server *server = start(cell, false, &to);
	uint64_t n;

	atomic_store(&work_ns, 0);
	n = flood(cell, &to);
	volley_server_free(server);
	atomic_store(&work_ns, 2 * TRIAL_NS / (n > 0 ? n : 1));
}

static void run_cell(const struct cell *cell, int rounds)
{
	double ratios[MAX_ROUNDS];
	struct bench_figure figure;

	calibrate(cell);
	for (int i = 0; i < rounds; i++) {
		double with = measure(cell, true);
		double without = measure(cell, false);

		without += measure(cell, false);
		with += measure(cell, true);
		ratios[i] = with / without;
	}
	figure = bench_statistics_bootstrap(ratios, (size_t)rounds, 1);
	printf("| %u | %u | %u | %llu | %.3f (%.3f-%.3f) |\n", cell->rcvbuf_bytes, cell->len,
	       cell->burst, (unsigned long long)atomic_load(&work_ns), figure.median, figure.low,
	       figure.high);
	fflush(stdout);
}

int main(int argc, char **argv)
{
	static const uint32_t buffers[] = { 212992, 425984 };
	static const uint32_t lens[] = { 64, 1200 };
	static const uint32_t bursts[] = { 1, 4, 16, 64 };
	int rounds = argc > 1 ? atoi(argv[1]) : 10;
	struct bench_cpus cpus;

	bench_cpus_get(&cpus);
	if (rounds < 1 || rounds > MAX_ROUNDS || cpus.n < 2) {
		fprintf(stderr, "usage: gro-room [ROUNDS, 1 to %d], with two CPUs\n", MAX_ROUNDS);
		return 2;
	}
	printf("| buffer | bytes | burst | ns of work | delivered with GRO / without |\n"
	       "|---|---|---|---|---|\n");
	for (size_t b = 0; b < sizeof buffers / sizeof *buffers; b++)
		for (size_t l = 0; l < sizeof lens / sizeof *lens; l++)
			for (size_t n = 0; n < sizeof bursts / sizeof *bursts; n++) {
				uint32_t most = N_PAYLOAD / lens[l];

				run_cell(&(struct cell){ buffers[b], lens[l],
							 bursts[n] < most ? bursts[n] : most },
					 rounds);
			}
	return 0;
}
