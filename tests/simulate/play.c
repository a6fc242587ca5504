/* SPDX-License-Identifier: MIT */

#include "play.h"
#include "lib/listeners.h"

#include <arpa/inet.h>
#include <errno.h>
#include <event2/event.h>
#include <linux/filter.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ask.h"
#include "bounds.h"
#include "fault.h"
#include "oracle.h"
#include "replies.h"
#include "storm.h"

static const uint64_t US = 1000;

/* What a stop gives a full socket to take the last replies. */
enum { FULL_US = 20000 };

void play_sleep(uint64_t ns)
{
	world_wait(world_now() + ns);
}

void play_settle(struct play *play)
{
	world_pauses = (struct pauses){ 0 };
	for (int i = 0; !oracle_has_settled(play->server); i++) {
		if (i == 20000) {
			oracle_judge_unsettled(play->server);
			return;
		}
		play_rest(play, 1000000);
	}
}

bool play_has_own_loop(const struct play *play)
{
	return play->config.wait == VOLLEY_WAIT_FD || play->config.event_base != NULL;
}

static void on_rest(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what, (void)arg;
}

void play_rest(struct play *play, uint64_t ns)
{
	uint64_t until_ns = world_now() + ns;
	struct event *timer;

	if (play->base == NULL) {
		play_sleep(ns);
		return;
	}
	timer = event_new(play->base, -1, 0, on_rest, NULL);
	while (world_now() < until_ns) {
		uint64_t us = (until_ns - world_now()) / US + 1;
		struct timeval time = { .tv_sec = (long)(us / 1000000),
					.tv_usec = (long)(us % 1000000) };

		if (timer != NULL && event_add(timer, &time) == 0) {
			event_base_loop(play->base, EVLOOP_ONCE);
			continue;
		}
		event_base_loop(play->base, EVLOOP_NONBLOCK);
		play_sleep(20 * US);
	}
	if (timer != NULL)
		event_free(timer);
}

/* Beginning ------------------------------------------------------------------------------------ */

#define LAST UINT32_C(0xfffffffe) /* no value of a config */

static uint32_t pick_of(const uint32_t *values)
{
	uint32_t n = 0;

	while (values[n] != LAST)
		n++;
	return values[world_pick(n)];
}
#define PICK(...) pick_of((const uint32_t[]){ __VA_ARGS__, LAST })

void play_init(struct play *play, struct process *process)
{
	struct volley_config *config = &play->config;

	*play = (struct play){ .process = process, .style = world_pick(6) };
	play->slow_ns = 1 + world_pick(200000);
	play->n_slow = 1;
	*config = *VOLLEY_CONFIG(.n_workers = 0);
	play_fill_config(play);
	config->n_workers = 1 + world_pick(3);
	config->wait = PICK(VOLLEY_WAIT_EVENT, VOLLEY_WAIT_EVENT, VOLLEY_WAIT_FD, VOLLEY_WAIT_BLOCK,
			    VOLLEY_WAIT_SPIN);
	config->n_batch = PICK(0, 1, 2, 7, 64);
	config->n_budget = PICK(0, 1, 8);
	config->n_handlers = config->wait == VOLLEY_WAIT_BLOCK ? 0 : PICK(0, 0, 1, 3);
	if (config->wait == VOLLEY_WAIT_FD)
		config->n_workers = 1;
	config->n_ring = PICK(0, 8, 64);
	config->io = PICK(0, 0, 1) ? "msg" : NULL;
	if (config->wait == VOLLEY_WAIT_BLOCK)
		config->io = NULL;
	config->drain_us = PICK(0, 1000, 20000);
	config->hold_us = PICK(0, 500, 20000);
	config->backlog_us = PICK(0, 300, 5000);
	config->n_backlog = PICK(0, 1, 16);
	config->rcvbuf_bytes = PICK(0, 0, 4096, 30000);
	config->sndbuf_bytes = PICK(0, 0, 5000, 30000);
	config->max_datagram_bytes = PICK(0, 0, 64, 1500);
	config->max_age_us = PICK(0, 0, 100, 5000);
	config->n_held = PICK(0, 0, 1, 16);
}

/* The far ends of what a config may say. */
static void widen_values(struct volley_config *config)
{
	if (world_pick(4) == 0)
		config->n_batch = PICK(1, 255, 256, 257, 1024);
	if (world_pick(8) == 0)
		config->n_budget = 1024;
	if (world_pick(8) == 0)
		config->max_datagram_bytes = PICK(1, 65535);
	if (world_pick(4) == 0)
		config->arena_bytes = PICK(65536, 1 << 24);
	if (world_pick(8) == 0)
		config->n_backlog = 65536;
	if (world_pick(8) == 0)
		config->backlog_us = PICK(1, 60000000);
	if (world_pick(8) == 0)
		config->drain_us = PICK(1, 600000000);
	if (world_pick(8) == 0)
		config->n_held = PICK(1, 1 << 20);
	if (world_pick(8) == 0)
		config->hold_us = PICK(1, 3600000000u);
	if (config->hold_us > 10000000 && config->drain_us > 1000000)
		config->drain_us = 0; /* or a drain waits for what is held */
	if (world_pick(8) == 0)
		config->max_age_us = PICK(1, UINT32_MAX);
	if (world_pick(16) == 0 && config->n_handlers > 0)
		config->n_handlers = 16;
	if (world_pick(16) == 0)
		config->n_ring = 1 << 15;
	if (world_pick(8) == 0)
		config->rcvbuf_bytes = PICK(1, UINT32_MAX);
	if (world_pick(8) == 0)
		config->io = PICK(0, 1) ? "auto" : config->io;
}

void play_widen(struct play *play)
{
	struct volley_config *config = &play->config;

	widen_values(config);
	if (world_pick(5) == 0) { /* callbacks that take their time, and few requests for that */
		play->slow_ns = 10000 * US;
		play->n_slow = PICK(2, 16, 64);
		replies_let_wait(UINT64_MAX / 4);
	}
	play->is_lazy = world_pick(4) == 0;
	play_fill_hooks(play);
	play_fill_goodbye(play);
	if (config->wait == VOLLEY_WAIT_EVENT && world_pick(3) == 0) {
		play->base = event_base_new_with_config(NULL);
		config->event_base = play->base;
		config->n_workers = world_pick(2);
	}
	if (!play_has_own_loop(play)) {
		play->has_run = world_pick(3) == 0;
		if (world_pick(4) == 0)
			config->flags |= VOLLEY_SERVER_PIN;
	}
}

/* Listeners ------------------------------------------------------------------------------------ */

static uint64_t get_drain_ns(const struct play *play)
{
	return (play->config.drain_us != 0 ? play->config.drain_us : 1000000) * US;
}

static uint64_t get_backlog_ns(const struct play *play)
{
	return (play->config.backlog_us != 0 ? play->config.backlog_us : 50000) * US;
}

static void widen_listen(struct play *play, uint32_t i, struct volley_listen_config *listen)
{
	static const uint32_t flags[] = {
		VOLLEY_LISTEN_SHARE_PORT,     VOLLEY_LISTEN_WANT_TTL,
		VOLLEY_LISTEN_WANT_TOS,       VOLLEY_LISTEN_WANT_INTERFACE,
		VOLLEY_LISTEN_WANT_TIMESTAMP, VOLLEY_LISTEN_GROUP_BY_SIZE,
		VOLLEY_LISTEN_BROADCAST,      VOLLEY_LISTEN_ARRIVAL_INTERFACE,
		VOLLEY_LISTEN_DRAIN_LAST,
	};
	uint32_t n_max = play->config.max_datagram_bytes;

	for (uint32_t k = 0; k < sizeof flags / sizeof *flags; k++)
		if (world_pick(4) == 0)
			listen->flags |= flags[k];
	if (world_pick(4) == 0 && (n_max == 0 || n_max >= 64))
		listen->flags |= VOLLEY_LISTEN_DELIVER_TRUNCATED;
	if (i % 2 == 1 && world_pick(4) == 0)
		listen->flags |= VOLLEY_LISTEN_V6ONLY;
	/* With others the world would blame what leaves whole on a path known to be narrow. */
	listen->mtu_discover = world_pick(2);
	if (world_pick(8) == 0) {
		listen->spread = VOLLEY_SPREAD_ANY;
		oracle_forget_order();
	}
	if (world_pick(8) == 0)
		listen->rcvbuf_bytes = PICK(1, 5000, 1 << 22);
	if (world_pick(8) == 0)
		listen->sndbuf_bytes = PICK(5000, 1 << 22);
	if (listen->sndbuf_bytes + play->config.sndbuf_bytes != 0 && play->n_slow < 2)
		replies_let_wait(get_backlog_ns(play));
}

/* Whoever gets it has others of the same client's before or behind it. */
void play_steer(struct volley_listen_config *listen)
{
	if (world_pick(8) != 0 || (listen->flags & VOLLEY_LISTEN_SHARE_PORT))
		return;
	listen->steer = PICK(VOLLEY_STEER_CPU, VOLLEY_STEER_BYTE);
	if (listen->steer == VOLLEY_STEER_BYTE)
		listen->steer_offset = world_pick(24);
	oracle_forget_order();
}

static struct volley_listen_config make_listen(struct play *play, uint32_t i)
{
	struct volley_listen_config listen = *VOLLEY_LISTEN(.arg = play);

	if (world_pick(4) == 0)
		listen.flags |= VOLLEY_LISTEN_NO_COALESCE;
	if (world_pick(4) == 0)
		listen.flags |= VOLLEY_LISTEN_REPORT_ERRORS;
	if (!play->is_plain)
		widen_listen(play, i, &listen);
	play_steer(&listen);
	play_fill_listen(play, &listen);
	listen.on_writable = play_on_writable;
	play->flags[i] = listen.flags;
	return listen;
}

static void write_address(uint32_t i, bool is_wild, char *text, size_t n)
{
	if (is_wild)
		snprintf(text, n, i % 2 == 0 ? "0.0.0.0:%u" : "[::]:%u", 7000 + i);
	else
		snprintf(text, n, i % 2 == 0 ? "10.0.1.1:%u" : "[fd00:1::1]:%u", 7000 + i);
}

static void note_listener(struct play *play, uint32_t i, struct volley_listener listener)
{
	char text[64];

	play->n_opened++;
	if (volley_listener_get_addr(play->server, listener, &play->bound[i]) < 0)
		world_blame("a listener that has just come is not there");
	write_address(i, false, text, sizeof text);
	if (volley_addr_parse(text, &play->addrs[i]) < 0)
		abort();
	oracle_begin_order(&play->addrs[i]);
	play->handles[i] = listener;
	play->listens[i] = true;
}

/*
 * Workers that are about to leave take no change of the listeners: who makes it waits until the
 * last one has left, also for the full sockets that keep it.
 */
static uint64_t get_leave_ns(const struct play *play, bool did_serve)
{
	if (play->has_run)
		return get_drain_ns(play) + FULL_US * US;
	return did_serve && play->was_asked ? FULL_US * US : 0;
}

int play_listen(struct play *play, uint32_t i)
{
	bool did_serve = play->n_begun != play->n_ended;
	struct volley_listen_config listen;
	struct volley_listener listener;
	uint64_t n_discarded = play->process->n_discarded;
	uint64_t since_ns = world_now();
	uint32_t n_faults;
	char text[64];
	int r;

	if (play->listens[i] || play->changes[i])
		return -EBUSY;
	play->changes[i] = true;
	listen = make_listen(play, i);
	write_address(i, !play->is_plain && world_pick(3) == 0, text, sizeof text);
	if (!play->is_plain)
		ask_dress(i, &listen, text, sizeof text);
	n_faults = fault_count();
	r = volley_server_listen(play->server, text, &listen, &listener);
	world_tell("listen %s: %d", text, r);
	if (fault_count() != n_faults)
		udp_hide_casts();
	if (r >= 0)
		note_listener(play, i, listener);
	else /* what the first sockets got until the last one failed is in no books */
		play->process->n_discarded = n_discarded;
	bounds_judge(BOUND_LISTEN, since_ns, get_leave_ns(play, did_serve));
	play->changes[i] = false;
	return r;
}

static int open_socket(uint32_t i)
{
	struct sock_filter all = { BPF_RET | BPF_K, 0, 0, UINT32_MAX };
	struct sock_fprog program = { 1, &all };
	struct volley_addr addr;
	char text[64];
	int on = 1;
	int fd;

	write_address(i, false, text, sizeof text);
	if (volley_addr_parse(text, &addr) < 0)
		abort();
	fd = socket(addr.sa.sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -1;
	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
	if (world_pick(4) == 0)
		(void)setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program);
	if (bind(fd, &addr.sa, addr.len) == 0)
		return fd;
	close(fd);
	return -1;
}

/* What they hold is nobody's. */
static void close_sockets(struct play *play, const int *fds, uint32_t n)
{
	for (uint32_t k = 0; k < n; k++) {
		uint64_t n_discarded = play->process->n_discarded;

		if (fds[k] >= 0)
			kernel_close(fds[k]);
		play->process->n_discarded = n_discarded;
	}
}

int play_adopt(struct play *play, uint32_t i)
{
	uint64_t n_dropped = play->process->n_dropped;
	struct volley_listen_config listen;
	uint32_t n = 1 + world_pick(play->config.wait == VOLLEY_WAIT_BLOCK ? 1 : 3);
	struct volley_listener listeners[3];
	int fds[3];
	int r;

	if (play->listens[i] || play->changes[i])
		return -EBUSY;
	play->changes[i] = true;
	listen = make_listen(play, i);
	for (uint32_t k = 0; k < n; k++)
		fds[k] = open_socket(i);
	r = volley_server_adopt(play->server, fds, n, &listen, listeners);
	world_tell("adopt %u sockets: %d", n, r);
	if (r > 1)
		world_blame("sockets of one address make %d listeners", r);
	if (r >= 0)
		note_listener(play, i, listeners[0]);
	else if (fault_count() == 0 && r != -EADDRINUSE && r != -EINVAL && r != -ENOMEM &&
		 r != -EMFILE && !storm_has_moved())
		world_blame("adopt: %d", r);
	if (r < 0)
		close_sockets(play, fds, n);
	play->n_before += play->process->n_dropped - n_dropped;
	play->changes[i] = false;
	return r;
}

void play_close(struct play *play, uint32_t i)
{
	uint64_t since_ns;
	int r;

	if (!play->listens[i] || play->changes[i])
		return;
	play->changes[i] = true;
	play->listens[i] = false;
	play->n_closes++;
	while (play->n_looks[i] > 0)
		play_sleep(10 * US);
	since_ns = world_now();
	r = volley_listener_close(play->server, play->handles[i]);
	world_tell("close %u: %d", i, r);
	if (r != 0 && r != -ETIME)
		world_blame("a listener is not there any more: %d", r);
	play->n_closes++;
	bounds_judge(BOUND_CLOSE, since_ns, get_drain_ns(play));
	play->changes[i] = false;
}
