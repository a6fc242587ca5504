/* SPDX-License-Identifier: MIT */

#include "matrix/life.h"

#include <dirent.h>
#include <errno.h>
#include <event2/event.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <volley/volley.h>

#include "lib/ledger.h"
#include "lib/listeners.h"
#include "lib/loopback.h"
#include "matrix/client.h"

enum { STEP_US = 2000000 };

const char *const phase_names[N_PHASES] = {
	[PHASE_NEW] = "new",     [PHASE_LISTEN] = "listen", [PHASE_ADOPT] = "adopt",
	[PHASE_START] = "start", [PHASE_RUN] = "run",       [PHASE_HANDOVER] = "hand-over",
	[PHASE_DRAIN] = "drain", [PHASE_STOP] = "stop",     [PHASE_CLOSE] = "close",
};

const struct way ways[N_WAYS] = {
	{ .name = "event", .wait = VOLLEY_WAIT_EVENT, .io = "mmsg" },
	{ .name = "event, msg, handlers", .wait = VOLLEY_WAIT_EVENT, .io = "msg", .n_handlers = 1 },
	{ .name = "block", .wait = VOLLEY_WAIT_BLOCK, .io = "mmsg" },
	{ .name = "spin", .wait = VOLLEY_WAIT_SPIN, .io = "mmsg" },
	{ .name = "fd", .wait = VOLLEY_WAIT_FD, .io = "mmsg" },
	{ .name = "fd, handlers", .wait = VOLLEY_WAIT_FD, .io = "mmsg", .n_handlers = 1 },
	{ .name = "own base", .wait = VOLLEY_WAIT_EVENT, .io = "mmsg", .own_base = true },
	{ .name = "event, handlers", .wait = VOLLEY_WAIT_EVENT, .io = "mmsg", .n_handlers = 2 },
};

static _Atomic(enum phase) now = PHASE_NONE;
static atomic_ulong n_sentences;
static atomic_long n_bytes;

enum phase life_get_phase(void)
{
	return atomic_load(&now);
}

static void count_sentence(enum volley_log_level level, const char *text, void *arg)
{
	(void)level, (void)arg;
	if (getenv("MATRIX_LOG") != NULL)
		fprintf(stderr, "\tlog: %s\n", text);
	atomic_fetch_add(&n_sentences, 1);
}

static void *allocate(size_t n, size_t align, void *arg)
{
	void *mem = aligned_alloc(align, n);

	(void)arg;
	if (mem != NULL)
		atomic_fetch_add(&n_bytes, (long)n);
	return mem;
}

static void deallocate(void *mem, size_t n, size_t align, void *arg)
{
	(void)align, (void)arg;
	atomic_fetch_sub(&n_bytes, (long)n);
	free(mem);
}

/* In every second way the C library's memory is used, which the address sanitizer looks after. */
static const struct volley_allocator counted = { allocate, deallocate, NULL };

static void echo(struct volley_worker *worker, struct volley_packet *packets, size_t n, void *arg)
{
	(void)worker, (void)arg;
	for (size_t i = 0; i < n; i++)
		volley_packet_reply(&packets[i], packets[i].data, packets[i].len);
}

static void ignore(struct volley_worker *worker, void *arg)
{
	(void)worker, (void)arg;
}

static void ignore_error(struct volley_worker *worker, const struct volley_addr *peer, int error,
			 void *arg)
{
	(void)worker, (void)peer, (void)error, (void)arg;
}

static int step_new(struct life *life)
{
	int r;

	API(r, volley_server_new(
		       VOLLEY_CONFIG(.n_workers = 1, .wait = life->way->wait, .io = life->way->io,
				     .n_handlers = life->way->n_handlers, .log = count_sentence,
				     .event_base = life->base, .on_batch_end = ignore,
				     .flags = client_has_own_loop(life) ? 0 : VOLLEY_SERVER_PIN,
				     .n_batch = 8, .max_datagram_bytes = 2048,
				     .rcvbuf_bytes = 65536, .drain_us = STEP_US,
				     .allocator = life->way->n_handlers % 2 ? NULL : &counted),
		       &life->server));
	return r;
}

static uint32_t find_place(struct life *life, struct volley_listener listener)
{
	uint32_t i = 0;

	while (listener_at(life->server, i).id != listener.id)
		i++;
	return i;
}

static int listen_on(struct life *life, const char *text, uint32_t flags)
{
	struct volley_listener listener;
	const char *host = strchr(text, '[') != NULL ? "[::1]:0" : "127.0.0.1:0";
	uint32_t i;
	int r;

	API(r, volley_server_listen(life->server, text,
				    VOLLEY_LISTEN(.on_batch = echo, .flags = flags,
						  .on_error = flags & VOLLEY_LISTEN_REPORT_ERRORS
								      ? ignore_error
								      : NULL),
				    &listener));
	if (r < 0)
		return r;
	i = find_place(life, listener);
	life->to[i] = loopback_addr(host);
	life->to[i].in.sin_port = listener_addr(life->server, i).in.sin_port;
	life->is_open[i] = true;
	return 0;
}

static int step_listen(struct life *life)
{
	const uint32_t wants = VOLLEY_LISTEN_WANT_TTL | VOLLEY_LISTEN_WANT_TIMESTAMP |
			       VOLLEY_LISTEN_REPORT_ERRORS;
	int r = 0;

	if (!life->is_open[0])
		r = listen_on(life, "0.0.0.0:0", wants);
	if (r < 0 || life->way->wait == VOLLEY_WAIT_BLOCK)
		return r;
	if (!life->is_open[1])
		r = listen_on(life, "127.0.0.1:0", VOLLEY_LISTEN_NO_COALESCE);
	if (r >= 0 && !life->is_open[2])
		r = listen_on(life, "[::]:0", 0);
	return r;
}

static int step_adopt(struct life *life)
{
	struct volley_listener listener;
	struct volley_addr addr;
	uint32_t i;
	int fd;
	int r;

	if (life->way->wait == VOLLEY_WAIT_BLOCK)
		return 0;
	fd = loopback_open("127.0.0.1:0", &addr);
	API(r,
	    volley_server_adopt(life->server, &fd, 1, VOLLEY_LISTEN(.on_batch = echo), &listener));
	if (r < 0) {
		close(fd);
		return r;
	}
	i = find_place(life, listener);
	life->to[i] = addr;
	life->is_open[i] = true;
	return 0;
}

static int step_start(struct life *life)
{
	int r;

	API(r, volley_server_start(life->server));
	return r;
}

/*
 * A step that may fail, and then says so, and works once nothing fails any more. False when it does
 * not, and the life is over.
 */
static bool take_step(struct life *life, enum phase phase, int (*step)(struct life *life))
{
	unsigned long before = atomic_load(&n_sentences);
	int r;

	atomic_store(&now, phase);
	r = step(life);
	atomic_store(&now, PHASE_NONE);
	if (r >= 0)
		return true;
	if (atomic_load(&n_sentences) == before && r != -ENOMEM)
		client_blame(life, "%s failed with %s and no sentence in the log",
			     phase_names[phase], volley_error_name(r));
	r = step(life);
	if (r < 0)
		client_blame(life, "%s fails with %s also when no call does", phase_names[phase],
			     volley_error_name(r));
	return r >= 0;
}

static void run(struct life *life)
{
	struct volley_addr sink;
	struct volley_addr nowhere;
	char text[256];
	uint64_t n_missing;
	int r;

	life->sink = loopback_open("127.0.0.1:0", &sink);
	close(loopback_open("127.0.0.1:0", &nowhere));
	atomic_store(&now, PHASE_RUN);
	n_missing = client_ask(life);
	API(r,
	    volley_server_send(life->server, listener_at(life->server, 0), &nowhere, "x", 1, NULL));
	life->n_nowhere += r == 0;
	API(r, volley_server_send(life->server, listener_at(life->server, 0), &sink, "x", 1, NULL));
	API(r, volley_server_post(life->server, ignore, NULL));
	API(r, volley_server_format_stats(life->server, text, sizeof text));
	n_missing += client_ask(life);
	atomic_store(&now, PHASE_NONE);
	client_take_replies(life);
	client_ask_all(life, n_missing > 0 ? "run, after some were dropped" : "run");
}

struct giver {
	struct volley_server *server;
	int fd;
	int r;
};

static void *give(void *arg)
{
	struct giver *giver = arg;

	API(giver->r, volley_server_export_fds(giver->server, giver->fd, STEP_US, NULL, 0));
	close(giver->fd);
	return NULL;
}

/* The new server's part. */
static int take(struct life *life, int fd)
{
	int r = step_new(life);

	if (r < 0)
		return r;
	API(r, volley_server_import_fds(life->server, fd, STEP_US, NULL, NULL));
	for (int i = 0; r >= 0 && i < N_LISTENERS; i++) {
		char text[VOLLEY_ADDR_TEXT_BYTES];
		struct volley_addr addr = life->to[i];

		if (!life->is_open[i])
			continue;
		volley_addr_format(&addr, text, sizeof text);
		if (i == 0)
			snprintf(text, sizeof text, "0.0.0.0:%u", volley_addr_get_port(&addr));
		if (i == 2)
			snprintf(text, sizeof text, "[::]:%u", volley_addr_get_port(&addr));
		API(r, volley_server_listen(life->server, text, VOLLEY_LISTEN(.on_batch = echo),
					    NULL));
	}
	if (r >= 0)
		API(r, volley_server_start(life->server));
	if (r >= 0)
		API(r, volley_server_import_commit(life->server, fd, STEP_US));
	return r;
}

static void add_stats(struct life *life, struct volley_server *server)
{
	struct volley_stats stats = { .size = sizeof stats };
	const char *fault;

	API(fault, ledger_find_server_fault(server));
	if (fault != NULL)
		client_blame(life, "the books of a server that handed over: %s", fault);
	if (volley_server_get_stats(server, &stats) == 0) {
		life->given.rx_datagrams += stats.rx_datagrams;
		life->given.tx_sent += stats.tx_sent;
		life->given.kernel_drops += stats.kernel_drops;
		life->given.discarded_at_close += stats.discarded_at_close;
	}
}

static void free_server(struct life *life, struct volley_server *server)
{
	int r;

	API(r, volley_server_free(server));
	if (r < 0)
		client_blame(life, "free says %s", volley_error_name(r));
}

/*
 * From this server to a new one. Whatever fails, one of them serves: the new one if it says that it
 * has taken over, else the old one.
 */
static void hand_over(struct life *life)
{
	struct giver giver = { .server = life->server };
	struct volley_server *old = life->server;
	pthread_t thread;
	int fds[2];
	int r;

	if (client_has_own_loop(life) ||
	    socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) < 0)
		return;
	giver.fd = fds[0];
	life->server = NULL;
	atomic_store(&now, PHASE_HANDOVER);
	if (pthread_create(&thread, NULL, give, &giver) != 0)
		abort();
	r = take(life, fds[1]);
	close(fds[1]);
	pthread_join(thread, NULL);
	atomic_store(&now, PHASE_NONE);
	if (r >= 0) {
		if (giver.r < 0) /* its counters did not come along */
			add_stats(life, old);
		free_server(life, old);
		return;
	}
	if (life->server != NULL) {
		struct volley_server *failed = life->server;

		API(r, volley_server_close(failed));
		add_stats(life, failed);
		free_server(life, failed);
	}
	life->server = old;
}

static void drain(struct life *life)
{
	int r;

	for (int i = 0; i < N_LISTENERS; i++)
		for (int j = 0; j < N_ASKED && life->is_open[i]; j++, life->n_asked++)
			loopback_send(life->client, &life->to[i], (uint8_t)j, 16);
	atomic_store(&now, PHASE_DRAIN);
	API(r, volley_server_drain(life->server));
	atomic_store(&now, PHASE_NONE);
	if (r < 0 && r != -ETIME)
		client_blame(life, "drain says %s", volley_error_name(r));
	API(r, volley_server_start(life->server));
	if (r < 0)
		client_blame(life, "a start after the drain says %s", volley_error_name(r));
	else
		client_ask_all(life, "after a drain and a start");
}

/* A client's datagrams and its replies against the server's books. */
static void judge(struct life *life)
{
	struct volley_stats stats = { .size = sizeof stats };
	const char *fault = ledger_find_server_fault(life->server);
	uint64_t n_in;
	uint64_t n_out;

	if (fault != NULL)
		client_blame(life, "the books: %s", fault);
	if (volley_server_get_stats(life->server, &stats) < 0)
		return;
	life->n_replies += client_count_received(life->client) + client_count_received(life->sink);
	n_in = stats.rx_datagrams + stats.discarded_at_close + stats.kernel_drops +
	       life->given.rx_datagrams + life->given.discarded_at_close + life->given.kernel_drops;
	n_out = stats.tx_sent + life->given.tx_sent;
	if (n_in != life->n_asked)
		client_blame(life,
			     "%llu datagrams were sent to the server, and its books have %llu",
			     (unsigned long long)life->n_asked, (unsigned long long)n_in);
	if (n_out < life->n_replies || n_out > life->n_replies + life->n_nowhere)
		client_blame(life, "the books say %llu sent, and %llu arrived",
			     (unsigned long long)n_out, (unsigned long long)life->n_replies);
}

static void end(struct life *life)
{
	int r;

	atomic_store(&now, PHASE_STOP);
	API(r, volley_server_stop(life->server));
	if (r < 0)
		client_blame(life, "stop says %s", volley_error_name(r));
	atomic_store(&now, PHASE_CLOSE);
	API(r, volley_server_close(life->server));
	atomic_store(&now, PHASE_NONE);
	if (r < 0)
		client_blame(life, "close says %s", volley_error_name(r));
	judge(life);
}

static void live(struct life *life)
{
	if (!take_step(life, PHASE_NEW, step_new))
		return;
	if (take_step(life, PHASE_LISTEN, step_listen) &&
	    take_step(life, PHASE_ADOPT, step_adopt) && take_step(life, PHASE_START, step_start)) {
		run(life);
		hand_over(life);
		client_ask_all(life, "after the hand-over");
		drain(life);
	}
	end(life);
	free_server(life, life->server);
}

static int count_tasks(void)
{
	DIR *dir = opendir("/proc/self/task");
	int n = -2; /* . and .. */

	while (dir != NULL && readdir(dir) != NULL)
		n++;
	if (dir != NULL)
		closedir(dir);
	return n;
}

static struct event_base *new_base(void)
{
	struct event_config *config = event_config_new();
	struct event_base *base;

	event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK);
	base = event_base_new_with_config(config);
	event_config_free(config);
	return base;
}

bool life_run(const struct way *way, bool is_one)
{
	struct life life = { .way = way, .is_one = is_one, .sink = -1, .ok = true };
	int n_fds;

	client_is_outside = true;
	n_fds = loopback_n_fds();
	life.client = loopback_open("[::]:0", NULL);
	life.base = way->own_base ? new_base() : NULL;
	for (int i = 0; i < N_LISTENERS; i++)
		life.to[i].len = 0;
	live(&life);
	close(life.client);
	if (life.sink >= 0)
		close(life.sink);
	if (life.base != NULL)
		event_base_free(life.base);
	if (loopback_n_fds() != n_fds)
		client_blame(&life, "%d descriptors are left", loopback_n_fds() - n_fds);
	if (atomic_load(&n_bytes) != 0)
		client_blame(&life, "%ld bytes are left", atomic_load(&n_bytes));
	if (count_tasks() != 1)
		client_blame(&life, "%d threads are left", count_tasks() - 1);
	return life.ok;
}
