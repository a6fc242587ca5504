/* SPDX-License-Identifier: MIT */

/*
 * What listeners cost in numbers: the time to make and close one, our memory for each, and the CPU
 * time and instructions of a datagram when there are many, beside those when there is one.
 *
 *	volley-many [N]   N listeners, 10,000 by default
 *
 * The server has no thread (VOLLEY_WAIT_FD), so what its calls take on this thread is all that it
 * takes. Instructions are those in user space; the kernel's part is in the time.
 */

#include <linux/perf_event.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <volley/volley.h>

enum { N_DEFAULT = 10000, N_DATAGRAMS = 200000, N_CLOSES = 20, BURST = 64 };

/* Memory -------------------------------------------------------------------------------------- */

static size_t n_bytes_now;

static void *allocate(size_t n_bytes, size_t align_bytes, void *arg)
{
	(void)arg;
	n_bytes_now += n_bytes;
	return aligned_alloc(align_bytes, n_bytes);
}

static void deallocate(void *mem, size_t n_bytes, size_t align_bytes, void *arg)
{
	(void)align_bytes, (void)arg;
	n_bytes_now -= n_bytes;
	free(mem);
}

static const struct volley_allocator allocator = { .allocate = allocate, .deallocate = deallocate };

/* What it is measured by ---------------------------------------------------------------------- */

static _Noreturn void die(const char *what)
{
	fprintf(stderr, "volley-many: %s\n", what);
	exit(1);
}

static double read_ns(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

/* -1 where nobody counts instructions: a virtual machine, or kernel.perf_event_paranoid. */
static int open_counter(void)
{
	struct perf_event_attr attr = {
		.size = sizeof attr,
		.type = PERF_TYPE_HARDWARE,
		.config = PERF_COUNT_HW_INSTRUCTIONS,
		.exclude_kernel = 1,
		.exclude_hv = 1,
	};

	return (int)syscall(SYS_perf_event_open, &attr, 0, -1, -1, 0);
}

static double read_counter(int counter)
{
	uint64_t n = 0;

	if (counter < 0 || read(counter, &n, sizeof n) != (ssize_t)sizeof n)
		return 0;
	return (double)n;
}

/* The server ---------------------------------------------------------------------------------- */

struct many {
	struct volley_server *server;
	uint32_t n;
	struct volley_listener *listeners;
	struct volley_addr *addrs;
	double listen_us; /* each */
	double n_bytes;   /* each, beyond what the first took */
};

static uint64_t n_seen;

static void see(struct volley_worker *worker, struct volley_packet *packets, size_t n, void *arg)
{
	(void)worker, (void)packets, (void)arg;
	n_seen += n;
}

static void add(struct many *many, uint32_t i)
{
	if (volley_server_listen(many->server, "127.0.0.1:0",
				 VOLLEY_LISTEN(.on_batch = see, .flags = VOLLEY_LISTEN_ONE_SOCKET),
				 &many->listeners[i]) < 0)
		die("there are not so many listeners");
	volley_listener_get_addr(many->server, many->listeners[i], &many->addrs[i]);
}

static void open_many(struct many *many, uint32_t n)
{
	double begin;
	size_t n_before;

	*many = (struct many){ .n = n };
	many->listeners = calloc(n, sizeof *many->listeners);
	many->addrs = calloc(n, sizeof *many->addrs);
	if (many->listeners == NULL || many->addrs == NULL ||
	    volley_server_new(VOLLEY_CONFIG(.wait = VOLLEY_WAIT_FD, .allocator = &allocator,
					    .log = volley_log_stderr),
			      &many->server) < 0)
		die("there is no server");
	add(many, 0);
	if (volley_server_start(many->server) < 0)
		die("it does not start");
	n_before = n_bytes_now;
	begin = read_ns(CLOCK_MONOTONIC);
	for (uint32_t i = 1; i < n; i++)
		add(many, i);
	many->listen_us = (read_ns(CLOCK_MONOTONIC) - begin) / 1e3 / n;
	many->n_bytes = n > 1 ? (double)(n_bytes_now - n_before) / (n - 1) : 0;
}

static double close_some(struct many *many)
{
	uint32_t n = many->n < N_CLOSES ? many->n : N_CLOSES;
	double begin = read_ns(CLOCK_MONOTONIC);

	for (uint32_t i = 0; i < n; i++)
		volley_listener_close(many->server, many->listeners[i * (many->n / n)]);
	return (read_ns(CLOCK_MONOTONIC) - begin) / 1e3 / n;
}

static void close_many(struct many *many)
{
	volley_server_free(many->server);
	free(many->listeners);
	free(many->addrs);
}

/* Datagrams ----------------------------------------------------------------------------------- */

struct cost {
	double cpu_ns; /* of a datagram */
	double n_instructions;
};

/* `burst` datagrams at a time, each time for the next of the first n listeners. */
static struct cost serve(struct many *many, uint32_t n, uint32_t burst, int fd, int counter)
{
	struct cost cost = { .cpu_ns = 0 };
	uint32_t n_rounds = N_DATAGRAMS / burst;

	n_seen = 0;
	for (uint32_t i = 0; i < n_rounds; i++) {
		const struct volley_addr *to = &many->addrs[i % n];
		double begin_ns, begin;

		for (uint32_t k = 0; k < burst; k++)
			sendto(fd, "0123456789abcdef", 16, 0, &to->sa, to->len);
		begin = read_counter(counter);
		begin_ns = read_ns(CLOCK_THREAD_CPUTIME_ID);
		volley_server_process(many->server);
		cost.cpu_ns += read_ns(CLOCK_THREAD_CPUTIME_ID) - begin_ns;
		cost.n_instructions += read_counter(counter) - begin;
	}
	while (volley_server_process(many->server) > 0 && n_seen < (uint64_t)n_rounds * burst)
		;
	cost.cpu_ns /= (double)n_seen;
	cost.n_instructions /= (double)n_seen;
	return cost;
}

static void tell(const char *what, const struct cost *one, const struct cost *many)
{
	printf("%-28s %8.1f ns, %8.1f ns with all: %.2f", what, one->cpu_ns, many->cpu_ns,
	       many->cpu_ns / one->cpu_ns);
	if (one->n_instructions > 0)
		printf("; %.1f instructions, %.1f: %.2f", one->n_instructions, many->n_instructions,
		       many->n_instructions / one->n_instructions);
	printf("\n");
}

int main(int argc, char **argv)
{
	uint32_t n = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 10) : N_DEFAULT;
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int counter = open_counter();
	struct rlimit limit;
	struct many many;
	struct cost alone, bursts, costs[3];

	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
	if (n == 0 || fd < 0)
		die("usage: volley-many [N]");
	open_many(&many, 1);
	alone = serve(&many, 1, 1, fd, counter);
	bursts = serve(&many, 1, BURST, fd, counter);
	close_many(&many);
	open_many(&many, n);
	costs[0] = serve(&many, 1, 1, fd, counter);
	costs[1] = serve(&many, 1, BURST, fd, counter);
	costs[2] = serve(&many, n, 1, fd, counter);
	printf("%u listeners, %.1f us to make one, %.0f bytes of ours each\n", n, many.listen_us,
	       many.n_bytes);
	tell("one at a time, for one", &alone, &costs[0]);
	tell("64 at a time, for one", &bursts, &costs[1]);
	tell("one at a time, for all", &alone, &costs[2]);
	printf("%.0f us to close one\n", close_some(&many));
	close_many(&many);
	close(fd);
	return 0;
}
