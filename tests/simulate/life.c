/* SPDX-License-Identifier: MIT */

#include "life.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "oracle.h"

enum { TIMEOUT_US = 10000000, MAX_ADOPTED = 3 };

struct chain chain;
struct waits life_changes;

void life_wait(uint64_t ns)
{
	world_wait_for(&life_changes, ns == UINT64_MAX ? ns : world_now() + ns);
}

struct volley_addr life_get_addr(uint32_t i)
{
	struct volley_addr addr;
	char text[64];

	snprintf(text, sizeof text, i % 2 == 0 ? "10.0.1.1:%u" : "[fd00:1::1]:%u", 7000 + i);
	if (volley_addr_parse(text, &addr) < 0)
		abort();
	return addr;
}

/* Beginning ------------------------------------------------------------------------------------ */

static int set(int fd, int level, int name, int value)
{
	return setsockopt(fd, level, name, &value, sizeof value);
}

/* Its own filter, and whatever else somebody has left on there. */
static int open_adopted(const struct volley_addr *addr)
{
	/* The first byte of the payload stands behind the header. */
	static struct sock_filter program[] = {
		{ .code = BPF_LD | BPF_B | BPF_ABS, .k = 8 },
		{ .code = BPF_JMP | BPF_JEQ | BPF_K, .k = LIFE_FORBIDDEN, .jt = 1 },
		{ .code = BPF_RET | BPF_K, .k = 0xffff },
		{ .code = BPF_RET | BPF_K, .k = 0 },
	};
	struct sock_fprog filter = { .len = 4, .filter = program };
	int fd = socket(addr->sa.sa_family, SOCK_DGRAM, 0);

	set(fd, SOL_SOCKET, SO_REUSEPORT, 1);
	setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof filter);
	if (world_pick(4) == 0)
		set(fd, IPPROTO_UDP, UDP_CORK, 1);
	if (world_pick(4) == 0)
		set(fd, IPPROTO_UDP, UDP_GRO, 1);
	if (addr->sa.sa_family == AF_INET6 && world_pick(4) == 0)
		set(fd, IPPROTO_IPV6, IPV6_2292PKTINFO, 1);
	if (bind(fd, &addr->sa, addr->len) < 0)
		abort();
	return fd;
}

static void on_packet(struct volley_worker *worker, struct volley_packet *packet, void *arg)
{
	uint32_t id = oracle_deliver(packet);
	uint8_t data[2048];

	(void)worker, (void)arg;
	if (id != UINT32_MAX &&
	    volley_packet_reply(packet, data, oracle_fill_reply(id, data, sizeof data)) == 0)
		oracle_count_reply(id);
}

/* Where play_listen() listens. */
static int adopt(struct play *play, uint32_t i)
{
	struct volley_listen_config config = *VOLLEY_LISTEN(.on_packet = on_packet);
	struct volley_addr addr;
	struct volley_listener handles[MAX_ADOPTED];
	int fds[MAX_ADOPTED];
	uint32_t n = 1 + world_pick(MAX_ADOPTED);
	int r;

	play_steer(&config);
	addr = life_get_addr(i);
	for (uint32_t k = 0; k < n; k++)
		fds[k] = open_adopted(&addr);
	r = volley_server_adopt(play->server, fds, n, &config, handles);
	world_tell("adopt %u: %d", n, r);
	if (r < 0)
		return r;
	play->bound[i] = play->addrs[i] = addr;
	play->handles[i] = handles[0];
	play->listens[i] = true;
	return r;
}

/* New sockets let in what was sent before that was known. */
static void forget_adopted(void)
{
	bool did = chain.adopts;

	chain.adopts = false;
	if (did)
		play_sleep(2000000);
}

static bool listen_all(struct life *life)
{
	for (uint32_t i = 0; i < chain.n_listeners; i++) {
		bool is_own = chain.adopts && life->import_fd < 0;

		if (!chain.serves[i] && life->closes != (int)i)
			continue;
		if ((is_own ? adopt(&life->play, i) : play_listen(&life->play, i)) < 0)
			return false;
	}
	return true;
}

/* Another one in the place of one that was imported: index and descriptors are the same again. */
static void exchange_one(struct life *life)
{
	struct play *play = &life->play;
	struct volley_listen_config config = *VOLLEY_LISTEN(.on_packet = on_packet);
	char text[64];

	if (life->closes < 0)
		return;
	snprintf(text, sizeof text, "10.0.1.1:%d", 7100 + life->number);
	world_tell("%d: close: %d", life->number,
		   volley_listener_close(play->server, play->handles[life->closes]));
	play->listens[life->closes] = false;
	if (volley_server_listen(play->server, text, &config, NULL) < 0 && !life->is_starved)
		world_blame("%d cannot listen on %s", life->number, text);
}

/* What a program gives besides: both ends of a pipe, where it can have one. */
static uint32_t open_own(int own[2])
{
	return pipe2(own, O_CLOEXEC) < 0 ? 0 : 2;
}

static void close_own(const int *own, uint32_t n)
{
	while (n > 0)
		kernel_close(own[--n]); /* blames whoever has closed it already */
}

/* What a program does that is the next one. False: it does not replace the old one. */
static bool take_over(struct life *life)
{
	int own[VOLLEY_HANDOVER_N_FDS];
	uint32_t n_own = 0;
	int r = volley_server_import_fds(life->play.server, life->import_fd, TIMEOUT_US, own,
					 &n_own);

	world_tell("%d: import: %d, and %u", life->number, r, n_own);
	if (n_own != 0 && (r < 0 || n_own != 2))
		world_blame("%d got %u descriptors with %d", life->number, n_own, r);
	close_own(own, n_own);
	if (r < 0 && r != -EPIPE)
		return false;
	if (r < 0)
		forget_adopted();
	if (!listen_all(life)) /* an old one that is gone leaves its port, in time */
		return false;
	if (volley_server_start(life->play.server) < 0) {
		if (!life->is_starved)
			world_blame("%d does not start", life->number);
		return false;
	}
	exchange_one(life);
	life->is_serving = true;
	world_wake(&life_changes);
	if (r < 0)
		return true;
	r = volley_server_import_commit(life->play.server, life->import_fd, TIMEOUT_US);
	world_tell("%d: commit: %d", life->number, r);
	if (r < 0)
		life->is_serving = false;
	return r >= 0;
}

static bool begin(struct life *life)
{
	if (life->import_fd >= 0)
		return take_over(life);
	if (!listen_all(life) || volley_server_start(life->play.server) < 0)
		world_blame("the first does not start");
	life->is_serving = true;
	return true;
}

/* Handing over, and ending --------------------------------------------------------------------- */

static void start_again(struct life *life)
{
	while (volley_server_start(life->play.server) < 0) {
		if (!life->is_starved)
			world_blame("%d does not start again", life->number);
		play_sleep(1000000000);
	}
}

static void hand_over(struct life *life)
{
	struct volley_server *server = life->play.server;
	int own[2];
	uint32_t n_own;
	int r;

	if (life->rests)
		world_tell("%d: drain: %d", life->number, volley_server_drain(server));
	n_own = open_own(own);
	r = volley_server_export_fds(server, life->export_fd, TIMEOUT_US, own, n_own);
	close_own(own, n_own);
	world_tell("%d: export: %d", life->number, r);
	if (r < 0 && life->rests)
		start_again(life);
	life->rests = false;
	kernel_close(life->export_fd);
	life->export_fd = -1;
	life->is_replaced = r == 0;
	world_wake(&life_changes);
}

static void *exporter_main(void *arg)
{
	struct life *life = arg;

	while (!life->shall_end && !life->is_replaced)
		if (life->export_fd >= 0)
			hand_over(life);
		else
			life_wait(UINT64_MAX);
	return NULL;
}

/* The loop of VOLLEY_WAIT_FD: as long as there is nothing to do, it waits. */
static void *loop_main(void *arg)
{
	struct life *life = arg;
	struct volley_server *server = life->play.server;

	while (!life->play.is_over) {
		struct pollfd fd = { .fd = volley_server_get_fd(server), .events = POLLIN };
		int64_t ns = volley_server_get_timeout_ns(server);
		int ms = ns < 0 || ns > 1000000000 ? 1000 : (int)((ns + 999999) / 1000000);

		poll(&fd, 1, ms);
		(void)volley_server_process(server);
	}
	return NULL;
}

static uint64_t read_missing(struct volley_server *server)
{
	static char text[1 << 16];
	const char *at;

	if (volley_server_format_stats(server, text, sizeof text) < 0)
		return 0;
	at = strstr(text, "\"missing_books\": ");
	return at != NULL ? strtoull(at + 17, NULL, 10) : 0;
}

static void write_books(struct life *life)
{
	life->books = (struct volley_stats){ .size = sizeof life->books };
	volley_server_get_stats(life->play.server, &life->books);
	life->n_missing = read_missing(life->play.server);
}

static pthread_t start_thread(void *(*main)(void *), struct life *life)
{
	pthread_t id;

	if (pthread_create(&id, NULL, main, life) != 0)
		abort();
	return id;
}

static void serve(struct life *life)
{
	pthread_t exporter = start_thread(exporter_main, life);

	while (!life->shall_end && !life->is_replaced)
		life_wait(UINT64_MAX);
	life->is_serving = false;
	if (!life->is_replaced)
		world_tell("%d: drain: %d", life->number, volley_server_drain(life->play.server));
	pthread_join(exporter, NULL);
}

static void end(struct life *life)
{
	struct process *process = life->process;

	volley_server_close(life->play.server);
	write_books(life);
	volley_server_free(life->play.server);
	if (life->import_fd >= 0)
		kernel_close(life->import_fd);
	if (life->export_fd >= 0)
		kernel_close(life->export_fd);
	if (kernel_count_fds(process) != 0)
		world_blame("%d: %u descriptors are left", life->number, kernel_count_fds(process));
	if (process->n_bytes != 0)
		world_blame("%d: %llu bytes are left", life->number,
			    (unsigned long long)process->n_bytes);
	life->has_ended = true;
	world_wake(&life_changes);
	kernel_kill(process);
}

static void *life_main(void *arg)
{
	struct life *life = arg;
	pthread_t loop = 0;

	if (volley_server_new(&life->play.config, &life->play.server) < 0) {
		if (!life->is_starved)
			world_blame("no server");
		life->gave_up = life->has_ended = true;
		life->process->n_taken = life->process->n_sent = 0;
		world_wake(&life_changes);
		kernel_kill(life->process);
		return NULL;
	}
	life->process->n_taken = life->process->n_sent = 0;
	if (life->play.config.wait == VOLLEY_WAIT_FD)
		loop = start_thread(loop_main, life);
	if (begin(life)) {
		serve(life);
	} else {
		life->gave_up = true;
		(void)volley_server_drain(life->play.server);
	}
	life->play.is_over = true;
	if (life->play.config.wait == VOLLEY_WAIT_FD)
		pthread_join(loop, NULL);
	end(life);
	return NULL;
}

/* The director --------------------------------------------------------------------------------- */

int life_install(struct life *life, struct file *file)
{
	int fd;

	kernel_host = life->process;
	fd = kernel_install(file);
	kernel_host = NULL;
	return fd;
}

/* Each as it likes, but that everything is replied to; unless buffers are small. */
static void configure(struct volley_config *config)
{
	if (config->wait == VOLLEY_WAIT_SPIN ||
	    (config->wait == VOLLEY_WAIT_BLOCK && chain.n_listeners > 1))
		config->wait = VOLLEY_WAIT_EVENT;
	if (config->wait == VOLLEY_WAIT_BLOCK)
		config->n_workers = MAX_ADOPTED; /* a socket for each at most */
	config->drain_us = 100000;
	config->rcvbuf_bytes = chain.is_small ? 4096 : 0;
	config->sndbuf_bytes = 0;
	config->max_age_us = 0;
	config->n_ring = config->n_backlog = 0;
}

void life_start(struct life *life, int number, struct file *conversation)
{
	struct thread *thread;

	*life = (struct life){ .number = number, .import_fd = -1, .export_fd = -1, .closes = -1 };
	life->process = kernel_fork();
	play_init(&life->play, life->process);
	configure(&life->play.config);
	life->play.is_plain = true;
	if (conversation != NULL)
		life->import_fd = life_install(life, conversation);
	thread = world_new_thread(life->process, "main", life_main, life);
	snprintf(thread->name, sizeof thread->name, "main-%d", number);
	thread->next = life->process->threads;
	life->process->threads = thread;
}
