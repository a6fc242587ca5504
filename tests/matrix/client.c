/* SPDX-License-Identifier: MIT */

#include "matrix/client.h"

#include <event2/event.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/socket.h>
#include <time.h>

#include "lib/loopback.h"

enum { PATIENCE_MS = 3000 };

_Thread_local bool client_is_outside;

bool life_is_outside(void)
{
	return client_is_outside;
}

void client_blame(struct life *life, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	fprintf(stderr, "\t");
	vfprintf(stderr, format, args);
	fprintf(stderr, "\n");
	va_end(args);
	life->ok = false;
}

static int64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

bool client_has_own_loop(const struct life *life)
{
	return life->way->wait == VOLLEY_WAIT_FD || life->way->own_base;
}

/* Give an own loop its turn, and let a millisecond pass at most. */
static void turn(struct life *life)
{
	struct pollfd fds[2] = { { .fd = life->client, .events = POLLIN }, { .fd = -1 } };
	int r;

	if (life->way->own_base)
		API(r, event_base_loop(life->base, EVLOOP_NONBLOCK | EVLOOP_ONCE));
	if (life->way->wait == VOLLEY_WAIT_FD) {
		API(r, volley_server_process(life->server));
		fds[1].events = POLLIN;
		API(fds[1].fd, volley_server_get_fd(life->server));
	}
	r = poll(fds, 2, 1);
	(void)r;
}

uint64_t client_count_received(int fd)
{
	uint8_t buf[256];
	uint64_t n = 0;

	while (recv(fd, buf, sizeof buf, MSG_DONTWAIT) >= 0)
		n++;
	return n;
}

void client_take_replies(struct life *life)
{
	life->n_replies += client_count_received(life->client);
}

/* Whether all that was asked is in the books and nothing is under way any more. */
static bool is_settled(struct life *life)
{
	struct volley_stats stats = { .size = sizeof stats };

	if (volley_server_get_stats(life->server, &stats) < 0)
		return false;
	return stats.rx_datagrams + stats.kernel_drops + stats.discarded_at_close >=
		       life->n_asked + life->given.rx_datagrams &&
	       stats.rx_queued == 0 && stats.tx_queued == 0;
}

uint64_t client_ask(struct life *life)
{
	int64_t end = now_ms() + PATIENCE_MS;
	uint64_t wanted;

	client_take_replies(life);
	wanted = life->n_replies;
	for (int i = 0; i < N_LISTENERS; i++)
		for (int j = 0; j < N_ASKED && life->is_open[i]; j++, wanted++, life->n_asked++)
			loopback_send(life->client, &life->to[i], (uint8_t)j, 16);
	while (life->n_replies < wanted && now_ms() < end) {
		turn(life);
		client_take_replies(life);
		if (life->n_replies < wanted && is_settled(life)) {
			client_take_replies(life);
			break;
		}
	}
	return wanted - life->n_replies;
}

/* What was late in a phase with faults comes now. */
static void settle(struct life *life)
{
	int64_t end = now_ms() + PATIENCE_MS;

	while (!is_settled(life) && now_ms() < end)
		turn(life);
	if (!is_settled(life))
		client_blame(life, "what was asked does not come to its end");
}

void client_ask_all(struct life *life, const char *when)
{
	uint64_t n_missing;

	settle(life);
	n_missing = client_ask(life);

	if (n_missing > 0)
		client_blame(life, "%s: %llu replies are missing", when,
			     (unsigned long long)n_missing);
}
