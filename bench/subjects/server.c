/* SPDX-License-Identifier: MIT */

/*
 * Servers as child processes. A child holds one control thread, which sleeps in read() on a socket
 * pair, and the threads that serve; a program (volley-echo) is executed as it is. So the CPU time
 * that the kernel keeps for the child is the server's alone, read by us through its CPU clock, in
 * nanoseconds and not in sampled ticks. What the child counts (calls, batch sizes) lies in memory
 * shared with us; what the kernel dropped at its sockets comes from /proc/PID/net/udp, which works
 * for any program and any network namespace.
 *
 * A child ends when our end of the socket pair closes, that is also when we die.
 */

#include "server.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/udp.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/address.h"
#include "common/clock.h"
#include "program.h"
#include "volley.h"

/* Shared with the child. */
struct bench_shared {
	struct sockaddr_in addr;
	uint32_t n_workers;
	int result;
	struct bench_counters workers[BENCH_SERVER_MAX_WORKERS];
};

/* A child's serving thread. */
struct thread {
	pthread_t id;
	int cpu;
	const struct bench_peer *peer;
	struct bench_loop loop;
	int fds[BENCH_SERVER_MAX_LISTENERS];
};

struct child {
	struct bench_server_config config;
	struct bench_shared *shared;
	struct bench_volley *volley;
	struct thread threads[BENCH_SERVER_MAX_WORKERS];
};

int bench_server_open_socket(const struct sockaddr_in *addr, bool shared)
{
	int size = 4 << 20;
	int one = 1;
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size) < 0)
		setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
	if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof size) < 0)
		setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
	if ((shared && setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof one) < 0) ||
	    bind(fd, (const struct sockaddr *)addr, sizeof *addr) < 0) {
		int error = errno;

		close(fd);
		return -error;
	}
	return fd;
}

static void *serve(void *arg)
{
	struct thread *thread = arg;

	if (thread->cpu >= 0)
		bench_cpus_set_one(thread->cpu);
	thread->peer->run(&thread->loop, UINT64_MAX);
	return NULL;
}

/* One socket for each listener; the first one settles the port of all. */
static int open_sockets(struct child *child, int *fds)
{
	const struct bench_server_config *config = &child->config;
	struct sockaddr_in *first = &child->shared->addr;
	socklen_t len = sizeof *first;

	for (uint32_t i = 0; i < config->n_listeners; i++) {
		struct sockaddr_in addr = *first;

		addr.sin_addr.s_addr = htonl(config->address + i);
		fds[i] = bench_server_open_socket(&addr, config->n_workers > 1);
		if (fds[i] < 0)
			return fds[i];
		if (i == 0 && getsockname(fds[0], (struct sockaddr *)first, &len) < 0)
			return -errno;
	}
	return 0;
}

static int start_peer(struct child *child)
{
	const struct bench_server_config *config = &child->config;

	for (uint32_t i = 0; i < config->n_workers; i++) {
		struct thread *thread = &child->threads[i];
		int r = open_sockets(child, thread->fds);

		thread->cpu = config->cpus.n ? config->cpus.cpu[i % config->cpus.n] : -1;
		thread->peer = config->subject->peer;
		thread->loop = (struct bench_loop){ .fd = thread->fds[0],
						    .fds = thread->fds,
						    .n_fds = config->n_listeners,
						    .n_batch = config->n_batch,
						    .counters = &child->shared->workers[i] };
		if (r >= 0)
			r = thread->peer->open(&thread->loop);
		if (r < 0)
			return r;
	}
	for (uint32_t i = 0; i < config->n_workers; i++) {
		int r = pthread_create(&child->threads[i].id, NULL, serve, &child->threads[i]);

		if (r != 0)
			return -r;
	}
	return 0;
}

static int start_volley(struct child *child)
{
	char address[32];
	struct bench_volley_config config = { .mode = child->config.subject->mode,
					      .address = address,
					      .n_workers = child->config.n_workers,
					      .n_listeners = child->config.n_listeners,
					      .n_batch = child->config.n_batch };
	int r;

	bench_addr_format(&child->shared->addr, address, sizeof address);
	r = bench_volley_start(&config, &child->volley);
	if (r >= 0)
		bench_volley_get_addr(child->volley, &child->shared->addr);
	return r;
}

static int start_serving(struct child *child)
{
	const struct bench_server_config *config = &child->config;

	if (config->cpus.n)
		bench_cpus_set(&config->cpus);
	child->shared->n_workers = config->n_workers;
	child->shared->addr = (struct sockaddr_in){ .sin_family = AF_INET,
						    .sin_addr.s_addr = htonl(config->address),
						    .sin_port = htons(config->port) };
	return config->subject->mode != NULL ? start_volley(child) : start_peer(child);
}

static _Noreturn void child_main(struct child *child, int control)
{
	char byte;

	int r;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	r = bench_path_enter_server(child->config.path);
	child->shared->result = r < 0 ? r : start_serving(child);
	while (write(control, "", 1) == 1 && read(control, &byte, 1) == 1)
		if (child->volley != NULL)
			bench_volley_get_counters(child->volley, &child->shared->workers[0]);
	if (child->volley != NULL)
		bench_volley_stop(child->volley);
	_exit(0);
}

/* One round trip: the child has started, or has refreshed its counters. */
static int await_child(struct bench_server *server)
{
	struct pollfd pfd = { .fd = server->control, .events = POLLIN };
	char byte;

	if (poll(&pfd, 1, 5000) != 1 || read(server->control, &byte, 1) != 1)
		return -ETIMEDOUT;
	return server->shared->result;
}

uint64_t bench_server_read_drops(pid_t pid, uint16_t bound_port)
{
	uint64_t sum = 0;
	char line[512];
	char path[64];
	FILE *file;

	snprintf(path, sizeof path, "/proc/%d/net/udp", (int)pid);
	file = fopen(path, "re");
	if (file == NULL)
		return 0;
	while (fgets(line, sizeof line, file) != NULL) {
		char *drops = strrchr(line, ' ');
		char *local = strchr(line, ':');
		unsigned long port;

		/*
		 * "  sl: ADDRESS:PORT ...": the drops are the last column, the newline after a
		 * blank.
		 */
		while (drops != NULL && drops > line && (drops[1] == '\n' || drops[1] == '\0')) {
			*drops = '\0';
			drops = strrchr(line, ' ');
		}
		/* After the line's number and its colon comes ADDRESS:PORT, in hexadecimal. */
		local = local != NULL ? strchr(local + 1, ':') : NULL;
		if (drops == NULL || local == NULL)
			continue;
		port = strtoul(local + 1, NULL, 16);
		if (port == bound_port)
			sum += strtoull(drops, NULL, 10);
	}
	fclose(file);
	return sum;
}

/*
 * The second column of each CPU: the queue between a device and its protocols was full. It is the
 * machine's, not the server's alone, but nobody else should be busy.
 */
static uint64_t read_backlog_drops(void)
{
	uint64_t sum = 0;
	char line[256];
	FILE *file = fopen("/proc/net/softnet_stat", "re");

	while (file != NULL && fgets(line, sizeof line, file) != NULL) {
		const char *second = strchr(line, ' ');

		sum += second != NULL ? strtoull(second, NULL, 16) : 0;
	}
	if (file != NULL)
		fclose(file);
	return sum;
}

/* The second number of each thread's schedstat. 0 where the kernel does not keep it. */
static uint64_t read_wait_ns(const struct bench_server *server)
{
	unsigned long long sum = 0;
	struct dirent *entry;
	char path[400];
	DIR *dir;

	snprintf(path, sizeof path, "/proc/%d/task", (int)server->pid);
	dir = opendir(path);
	while (dir != NULL && (entry = readdir(dir)) != NULL) {
		char line[128];
		const char *wait;
		FILE *file;

		snprintf(path, sizeof path, "/proc/%d/task/%.255s/schedstat", (int)server->pid,
			 entry->d_name);
		file = entry->d_name[0] == '.' ? NULL : fopen(path, "re");
		if (file == NULL)
			continue;
		wait = fgets(line, sizeof line, file) != NULL ? strchr(line, ' ') : NULL;
		sum += wait != NULL ? strtoull(wait, NULL, 10) : 0;
		fclose(file);
	}
	if (dir != NULL)
		closedir(dir);
	return sum;
}

static uint64_t read_drops(const struct bench_server *server)
{
	return bench_server_read_drops(server->pid, ntohs(server->addr.sin_port));
}

static int start_child(const struct bench_server_config *config, struct bench_server *server)
{
	int pair[2];
	struct child *child;

	server->shared = mmap(NULL, sizeof *server->shared, PROT_READ | PROT_WRITE,
			      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	child = calloc(1, sizeof *child);
	if (server->shared == MAP_FAILED || child == NULL) {
		free(child);
		return -ENOMEM;
	}
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0) {
		free(child);
		return -errno;
	}
	child->config = *config;
	child->shared = server->shared;
	server->pid = fork();
	if (server->pid == 0) {
		close(pair[0]);
		child_main(child, pair[1]);
	}
	free(child);
	close(pair[1]);
	server->control = pair[0];
	if (server->pid < 0)
		return -errno;
	return await_child(server);
}

int bench_server_start(const struct bench_server_config *config, struct bench_server *ret_server,
		       const char **ret_why)
{
	struct bench_server server = { .control = -1, .output = -1, .subject = config->subject };
	int r;

	*ret_why = NULL;
	if (config->n_listeners > 1 && !bench_subject_has_listeners(config->subject)) {
		*ret_why = "it serves one socket";
		return -EOPNOTSUPP;
	}
	if (config->subject->program != NULL) {
		r = bench_program_start(config, &server, ret_why);
	} else {
		r = start_child(config, &server);
		if (r >= 0)
			server.addr = server.shared->addr;
	}
	if (r < 0) {
		if (*ret_why == NULL)
			*ret_why = strerror(-r);
		bench_server_stop(&server, NULL);
		return r;
	}
	server.drops_before = read_drops(&server);
	*ret_server = server;
	return 0;
}

static void add_counters(struct bench_counters *sum, const struct bench_counters *one)
{
	sum->n_datagrams += one->n_datagrams;
	sum->n_recv_calls += one->n_recv_calls;
	sum->n_send_calls += one->n_send_calls;
	sum->n_failed += one->n_failed;
	for (int i = 0; i < BENCH_PEER_N_SIZES; i++)
		sum->n_sizes[i] += one->n_sizes[i];
}

int bench_server_sample(struct bench_server *server, struct bench_sample *ret_sample)
{
	struct bench_sample sample = { 0 };
	clockid_t clock;
	int r;

	r = clock_getcpuclockid(server->pid, &clock);
	if (r != 0)
		return -r;
	sample.now_ns = bench_now_ns();
	sample.cpu_ns = bench_clock_get(clock);
	sample.wait_ns = read_wait_ns(server);
	sample.drops = read_drops(server) - server->drops_before;
	sample.backlog_drops = read_backlog_drops();
	if (server->shared != NULL) {
		if (server->subject->mode != NULL) {
			if (write(server->control, "", 1) != 1)
				return -EPIPE;
			r = await_child(server);
			if (r < 0)
				return r;
		}
		for (uint32_t i = 0; i < server->shared->n_workers; i++)
			add_counters(&sample.counters, &server->shared->workers[i]);
	}
	*ret_sample = sample;
	return 0;
}

void bench_server_stop(struct bench_server *server, struct bench_counters *ret_counters)
{
	if (server->pid > 0 && server->subject->program != NULL)
		bench_program_stop(server, ret_counters);
	if (server->control >= 0)
		close(server->control);
	if (server->pid > 0 && server->subject->program == NULL && server->subject->mode == NULL)
		kill(server->pid, SIGKILL);
	if (server->pid > 0)
		waitpid(server->pid, NULL, 0);
	if (server->output >= 0)
		close(server->output);
	if (server->shared != NULL && server->shared != MAP_FAILED)
		munmap(server->shared, sizeof *server->shared);
	*server = (struct bench_server){ .control = -1, .output = -1 };
}

int bench_server_run(const struct bench_server_config *config)
{
	struct bench_server server;
	const char *why;
	char address[32];
	sigset_t set;
	int signo;
	int r = bench_server_start(config, &server, &why);

	if (r < 0) {
		fprintf(stderr, "volley-bench: %s: %s\n", config->subject->name, why);
		return r;
	}
	bench_addr_format(&server.addr, address, sizeof address);
	fprintf(stderr, "volley-bench: %s: ready on %s (%u workers)\n", config->subject->name,
		address, config->n_workers);
	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigwait(&set, &signo);
	bench_server_stop(&server, NULL);
	return 0;
}
