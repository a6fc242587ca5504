/* SPDX-License-Identifier: MIT */

/*
 * Servers made, started, stopped and freed again and again, for test_lifecycle.py to judge:
 *
 *	lifecycle MODE WAIT IO N_CYCLES
 *
 * MODE is idle, flood (stopped in the middle of one) or drain (drained in the middle of one), each
 * cycle with a server and a client of its own. After each cycle it writes one line of JSON: the
 * server's final books, what the client counted, how long the stop took, and how many descriptors,
 * threads and pages there are. Before the traffic and after the cycle it waits for a line on stdin,
 * so that the judge can read the kernel's counters while nothing moves.
 *
 * The flooding client's socket drops every reply in a filter, which the kernel counts: replies are
 * counted without being read.
 */

#include <dirent.h>
#include <errno.h>
#include <linux/filter.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <volley/volley.h>

#include "lib/listeners.h"

/* What a flood is: enough that queues and, with the small buffer, drops are certain. */
enum { N_FLOOD = 400, RCVBUF_BYTES = 20000, N_ASK = 3 };

struct client {
	int fd;
	pthread_t thread;
	atomic_uint n_sent;
	atomic_bool done;
	uint32_t n_received;
};

static void die(const char *what, int error)
{
	fprintf(stderr, "lifecycle: %s: %s\n", what, strerror(error));
	exit(EXIT_FAILURE);
}

static void must(int r, const char *what)
{
	if (r < 0)
		die(what, -r);
}

static void echo(struct volley_worker *worker, struct volley_packet *packets, size_t n, void *arg)
{
	(void)worker;
	(void)arg;
	for (size_t i = 0; i < n; i++)
		volley_packet_reply(&packets[i], packets[i].data, packets[i].len);
}

static void print_log(enum volley_log_level level, const char *text, void *arg)
{
	(void)arg;
	if (level == VOLLEY_LOG_ERROR)
		fprintf(stderr, "lifecycle: %s\n", text);
}

static uint32_t find(const char *word, const char *const *names, uint32_t n_names)
{
	for (uint32_t i = 0; i < n_names; i++)
		if (strcmp(word, names[i]) == 0)
			return i;
	die(word, EINVAL);
	return 0;
}

static unsigned int count_entries(const char *folder)
{
	DIR *dir = opendir(folder);
	unsigned int n = 0;

	if (dir == NULL)
		die(folder, errno);
	while (readdir(dir) != NULL)
		n++;
	closedir(dir);
	return n;
}

static long count_resident_pages(void)
{
	FILE *file = fopen("/proc/self/statm", "r");
	long n = 0;

	if (file == NULL || fscanf(file, "%*d %ld", &n) != 1)
		die("/proc/self/statm", EIO);
	fclose(file);
	return n;
}

static double get_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec * 1e6 + (double)ts.tv_nsec / 1e3;
}

static void client_open(struct client *client, const struct volley_addr *server, bool filter)
{
	struct sock_filter drop_all = { .code = BPF_RET | BPF_K, .k = 0 };
	struct sock_fprog program = { .len = 1, .filter = &drop_all };
	struct timeval patience = { .tv_sec = 20 };

	memset(client, 0, sizeof *client);
	client->fd = socket(server->sa.sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (client->fd < 0 || connect(client->fd, &server->sa, server->len) < 0 ||
	    setsockopt(client->fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) < 0)
		die("client", errno);
	if (filter &&
	    setsockopt(client->fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program) < 0)
		die("SO_ATTACH_FILTER", errno);
}

static void send_one(struct client *client)
{
	static const char payload[64] = "lifecycle";

	if (send(client->fd, payload, sizeof payload, 0) < 0) {
		if (errno == ECONNREFUSED)
			return; /* told of an earlier one, after the end; this one did not leave */
		die("send", errno);
	}
	atomic_fetch_add_explicit(&client->n_sent, 1, memory_order_relaxed); /* a count, no more */
}

static void *flood(void *arg)
{
	struct client *client = arg;

	while (!atomic_load_explicit(&client->done, memory_order_relaxed)) /* orders nothing */
		send_one(client);
	return NULL;
}

static void flood_start(struct client *client)
{
	int r = pthread_create(&client->thread, NULL, flood, client);

	if (r != 0)
		die("pthread_create", r);
	while (atomic_load_explicit(&client->n_sent, memory_order_relaxed) < N_FLOOD)
		sched_yield();
}

static void flood_stop(struct client *client)
{
	atomic_store_explicit(&client->done, true, memory_order_relaxed);
	pthread_join(client->thread, NULL);
}

static void ask(struct client *client)
{
	char reply[128];

	for (int i = 0; i < N_ASK; i++) {
		send_one(client);
		if (recv(client->fd, reply, sizeof reply, 0) < 0)
			die("no reply", errno);
		client->n_received++;
	}
}

/* The judge reads the kernel's counters while nothing moves. */
static void wait_for_judge(const char *text)
{
	char line[16];

	fputs(text, stdout);
	fflush(stdout);
	if (fgets(line, sizeof line, stdin) == NULL)
		die("the judge has left", EPIPE);
}

static uint32_t get_drops(int fd)
{
	uint32_t info[16] = { 0 };
	socklen_t n = sizeof info;

	if (getsockopt(fd, SOL_SOCKET, SO_MEMINFO, info, &n) < 0)
		die("SO_MEMINFO", errno);
	return info[8];
}

static void report(struct volley_server *server, struct client *client, double stop_us)
{
	static char text[1 << 16];
	int n = volley_server_format_stats(server, text, sizeof text);

	if (n <= 0 || (size_t)n >= sizeof text)
		die("volley_server_format_stats", ENOSPC);
	printf("{\"server\": %.*s, \"witness\": {\"sent\": %u, \"received\": %u, "
	       "\"client_drops\": %u, \"unreplied\": 0, \"firewalled\": 0}, \"stop_us\": %.0f, ",
	       n - 1, text, atomic_load_explicit(&client->n_sent, memory_order_relaxed),
	       client->n_received, get_drops(client->fd), stop_us);
}

/* One server's whole life. */
static void cycle(const char *mode, const struct volley_config *config)
{
	bool idle = strcmp(mode, "idle") == 0;
	struct volley_server *server;
	struct client client;
	double begin_us;

	must(volley_server_new(config, &server), "new");
	must(volley_server_listen(server, "127.0.0.1:0", VOLLEY_LISTEN(.on_batch = echo), NULL),
	     "listen");
	must(volley_server_start(server), "start");
	client_open(&client, LISTENER_ADDR(server, 0), !idle);
	wait_for_judge("{}\n");
	if (idle)
		ask(&client);
	else
		flood_start(&client);
	begin_us = get_us();
	if (strcmp(mode, "drain") == 0)
		must(volley_server_drain(server), "drain");
	else
		must(volley_server_stop(server), "stop");
	begin_us = get_us() - begin_us;
	if (strcmp(mode, "flood") == 0) {
		/* And once more: a stopped server starts again, with what has queued meanwhile. */
		must(volley_server_start(server), "start again");
		must(volley_server_stop(server), "stop again");
	}
	must(volley_server_close(server), "close");
	if (!idle)
		flood_stop(&client);
	report(server, &client, begin_us);
	must(volley_server_free(server), "free");
	close(client.fd);
	printf("\"fds\": %u, \"threads\": %u, \"pages\": %ld}", count_entries("/proc/self/fd"),
	       count_entries("/proc/self/task"), count_resident_pages());
	wait_for_judge("\n");
}

int main(int argc, char **argv)
{
	static const char *const waits[] = { "event", "block", "spin" };
	struct volley_config config;
	unsigned long n_cycles;

	if (argc != 5)
		die("usage: lifecycle idle|flood|drain event|block|spin mmsg|msg N_CYCLES", EINVAL);
	volley_config_init(&config, sizeof config);
	config.wait = find(argv[2], waits, 3);
	/* Two that spin would leave no CPU of two for those who flood and stop. */
	config.n_workers = config.wait == VOLLEY_WAIT_SPIN ? 1 : 2;
	config.io = argv[3];
	config.rcvbuf_bytes = strcmp(argv[1], "idle") == 0 ? 0 : RCVBUF_BYTES;
	config.log = print_log;
	n_cycles = strtoul(argv[4], NULL, 10);
	for (unsigned long i = 0; i < n_cycles; i++)
		cycle(argv[1], &config);
	return EXIT_SUCCESS;
}
