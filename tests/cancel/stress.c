/* SPDX-License-Identifier: MIT */

/*
 * Requests by the hundred thousand against a worker that is busy, idle, flooded or stuck in a full
 * queue, while signals, stops and forks disturb it. Each request must lead to exactly one
 * -ECANCELED; every datagram is numbered, and in the end
 *
 *	sent = received + dropped by the kernel (SO_MEMINFO), none twice, in order
 *
 * The time from request to the return of the blocked call is shown beside the time from an eventfd
 * write to the return of a blocked read, measured alternately in the same run.
 *
 *	stress [--long]		100,000 requests, with --long 1,000,000
 */

#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <volley/cancel.h>
#include <volley/mmsg.h>

#include "../lib/check.h"

#define N_BATCH 8
/* A request that is not acknowledged for so long is missed. Machines stall; a hang is for ever. */
#define MISSED_S 20
/* Long enough to reach the worker's whole cycle: clear, count, call, block. */
#define DAWDLE_NS 8192
/* Log-linear: 16 steps per power of two of nanoseconds, up to 2^40. */
#define N_BUCKETS (40 * 16)

enum disturbance { QUIET, SIGNALS, STOPS, FORKS };

struct scenario {
	const char *name;
	bool receives; /* else sends into a queue that is full most of the time */
	bool flooded;
	enum disturbance disturbance;
	int percent; /* of all requests */
};

struct histogram {
	uint64_t n;
	int64_t max;
	uint64_t buckets[N_BUCKETS];
};

static struct {
	const struct scenario *scenario;
	int in, out; /* the worker's end and ours */
	struct volley_cancel *handle;
	pid_t worker_tid;
	_Atomic bool ready, stop, quit;
	_Atomic uint64_t n_acks;     /* worker: -ECANCELED seen */
	_Atomic int64_t returned_ns; /* worker: when */
	sem_t acked;                 /* worker: and now you may go on */
	uint64_t n_sent, n_received; /* the side that sends, the side that receives */
	uint64_t n_disordered, n_errors;
	_Atomic uint64_t n_signals;
} run;

static int64_t clock_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static void histogram_add(struct histogram *h, int64_t ns)
{
	int top = 63 - __builtin_clzll((unsigned long long)(ns | 16));
	int bucket = (top - 4) * 16 + (int)((ns >> (top - 4)) & 15);

	h->n++;
	h->max = ns > h->max ? ns : h->max;
	h->buckets[bucket < N_BUCKETS ? bucket : N_BUCKETS - 1]++;
}

static double histogram_us(const struct histogram *h, double quantile)
{
	uint64_t seen = 0;

	for (int i = 0; i < N_BUCKETS; i++) {
		seen += h->buckets[i];
		if ((double)seen >= quantile * (double)h->n)
			return (double)((INT64_C(16) + i % 16) << (i / 16)) / 1000;
	}
	return (double)h->max / 1000;
}

static void histogram_print(const char *name, const struct histogram *h)
{
	printf("  %-24s %9llu  p50 %7.1f  p99 %7.1f  p99.9 %8.1f  max %9.1f us\n", name,
	       (unsigned long long)h->n, histogram_us(h, 0.5), histogram_us(h, 0.99),
	       histogram_us(h, 0.999), (double)h->max / 1000);
}

/* --- the worker ------------------------------------------------------------------------------- */

struct batch {
	struct mmsghdr msgs[N_BATCH];
	struct iovec iovs[N_BATCH];
	uint64_t numbers[N_BATCH];
};

static void batch_init(struct batch *batch)
{
	memset(batch, 0, sizeof *batch);
	for (int i = 0; i < N_BATCH; i++) {
		batch->iovs[i] = (struct iovec){ &batch->numbers[i], sizeof batch->numbers[i] };
		batch->msgs[i].msg_hdr.msg_iov = &batch->iovs[i];
		batch->msgs[i].msg_hdr.msg_iovlen = 1;
	}
}

static int64_t last_number = -1;

static void take(const uint64_t *numbers, int n)
{
	for (int i = 0; i < n; i++) {
		run.n_disordered += (int64_t)numbers[i] <= last_number;
		last_number = (int64_t)numbers[i];
	}
	run.n_received += (uint64_t)n;
}

static int work(struct batch *batch)
{
	int n;

	if (run.scenario->receives) {
		n = volley_recvmmsg(run.in, batch->msgs, N_BATCH, 0);
		if (n > 0)
			take(batch->numbers, n);
		return n;
	}
	for (uint64_t i = 0; i < N_BATCH; i++)
		batch->numbers[i] = run.n_sent + i;
	n = volley_sendmmsg(run.in, batch->msgs, N_BATCH, 0);
	if (n > 0)
		run.n_sent += (uint64_t)n;
	return n;
}

static void *worker_main(void *arg)
{
	struct batch batch;

	(void)arg;
	batch_init(&batch);
	run.worker_tid = (pid_t)syscall(SYS_gettid);
	REQUIRE(volley_cancel_attach(&run.handle) == 0);
	atomic_store(&run.ready, true);
	while (!atomic_load(&run.quit)) {
		int r = work(&batch);

		if (r == -ECANCELED) {
			atomic_store(&run.returned_ns, clock_ns());
			volley_cancel_clear();
			atomic_fetch_add(&run.n_acks, 1);
			sem_post(&run.acked);
		} else if (r < 0) {
			run.n_errors++;
		}
	}
	volley_cancel_detach();
	return NULL;
}

/* --- the others ------------------------------------------------------------------------------- */

/* Sends to a receiving worker when flooded; receives, in spells, from a sending one. */
static void *traffic_main(void *arg)
{
	struct batch batch;

	(void)arg;
	batch_init(&batch);
	while (!atomic_load(&run.stop)) {
		if (run.scenario->receives) {
			for (uint64_t i = 0; i < N_BATCH; i++)
				batch.numbers[i] = run.n_sent + i;
			int n = sendmmsg(run.out, batch.msgs, N_BATCH, 0);

			run.n_sent += n > 0 ? (uint64_t)n : 0;
		} else {
			int n = recvmmsg(run.out, batch.msgs, N_BATCH, MSG_DONTWAIT, NULL);

			take(batch.numbers, n > 0 ? n : 0);
			for (int i = 0; i < 20; i++)
				sched_yield();
		}
	}
	return NULL;
}

static void on_usr1(int signo)
{
	(void)signo;
	atomic_fetch_add(&run.n_signals, 1);
}

static void on_usr2(int signo)
{
	int saved = errno, status;
	pid_t pid = fork();

	(void)signo;
	if (pid == 0)
		_exit(0);
	waitpid(pid, &status, 0);
	atomic_fetch_add(&run.n_signals, 1);
	errno = saved;
}

static void *disturb_main(void *arg)
{
	enum disturbance what = run.scenario->disturbance;
	/* Forks take a millisecond: more often, and the worker would do nothing else. */
	const struct timespec pause = { .tv_nsec = what == SIGNALS ? 5000 : 10000000 };

	(void)arg;
	while (!atomic_load(&run.stop)) {
		syscall(SYS_tgkill, getpid(), run.worker_tid, what == FORKS ? SIGUSR2 : SIGUSR1);
		nanosleep(&pause, NULL);
	}
	return NULL;
}

/* Another process stops and continues us, until told: killed, it might leave us stopped. */
static _Atomic bool *stopper_quit;

static pid_t start_stopper(void)
{
	const struct timespec pause = { .tv_nsec = 1000000 };
	pid_t victim = getpid();
	pid_t pid;

	stopper_quit = mmap(NULL, sizeof *stopper_quit, PROT_READ | PROT_WRITE,
			    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	REQUIRE(stopper_quit != MAP_FAILED);
	pid = fork();
	if (pid != 0)
		return pid;
	while (getppid() == victim && !atomic_load(stopper_quit)) {
		kill(victim, SIGSTOP);
		nanosleep(&pause, NULL);
		kill(victim, SIGCONT);
		nanosleep(&pause, NULL);
	}
	_exit(0);
}

/* --- a scenario ------------------------------------------------------------------------------- */

static void open_sockets(void)
{
	struct sockaddr_in addr = { .sin_family = AF_INET,
				    .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof addr;
	int pair[2], few = 8192;

	if (run.scenario->receives) {
		run.in = socket(AF_INET, SOCK_DGRAM, 0);
		run.out = socket(AF_INET, SOCK_DGRAM, 0);
		REQUIRE(bind(run.in, (struct sockaddr *)&addr, sizeof addr) == 0);
		getsockname(run.in, (struct sockaddr *)&addr, &len);
		REQUIRE(connect(run.out, (struct sockaddr *)&addr, sizeof addr) == 0);
		return;
	}
	REQUIRE(socketpair(AF_UNIX, SOCK_DGRAM, 0, pair) == 0);
	setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &few, sizeof few);
	run.in = pair[0];
	run.out = pair[1];
}

/*
 * Whoever waits here sleeps: a third thread that spins beside a worker and a flood on two CPUs
 * would measure how long the scheduler lets it.
 */
static bool wait_for(sem_t *sem)
{
	struct timespec until;
	int r;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += MISSED_S;
	do {
		r = sem_timedwait(sem, &until);
	} while (r < 0 && errno == EINTR);
	return r == 0;
}

/* The next request shall meet the worker anywhere, not only where our waking up leaves it. */
static void dawdle(void)
{
	static uint32_t seed = 1;
	int64_t end_ns;

	seed = seed * 1664525 + 1013904223;
	end_ns = clock_ns() + (seed >> 16) % DAWDLE_NS;
	while (clock_ns() < end_ns)
		continue;
}

/* One request and its acknowledgement; false when it was missed. */
static bool request_once(struct histogram *histogram)
{
	uint64_t n_acks = atomic_load(&run.n_acks);
	int64_t start_ns;

	dawdle();
	start_ns = clock_ns();
	if (volley_cancel_request(run.handle) != 0 || !wait_for(&run.acked))
		return false;
	histogram_add(histogram, atomic_load(&run.returned_ns) - start_ns);
	return atomic_load(&run.n_acks) == n_acks + 1;
}

struct wake {
	int fd;
	_Atomic int64_t returned_ns;
	sem_t returned;
};

static void *wake_main(void *arg)
{
	struct wake *wake = arg;
	uint64_t count;

	while (read(wake->fd, &count, sizeof count) == sizeof count && count < 1000) {
		atomic_store(&wake->returned_ns, clock_ns());
		sem_post(&wake->returned);
	}
	return NULL;
}

static void wake_once(struct wake *wake, struct histogram *histogram)
{
	uint64_t one = 1;
	int64_t start_ns;

	dawdle();
	start_ns = clock_ns();
	CHECK(write(wake->fd, &one, sizeof one) == sizeof one);
	REQUIRE(wait_for(&wake->returned));
	histogram_add(histogram, atomic_load(&wake->returned_ns) - start_ns);
}

static uint64_t requests(int n, struct histogram *cancel, struct histogram *eventfd_wake)
{
	struct wake wake = { .fd = eventfd(0, EFD_CLOEXEC) };
	uint64_t n_missed = 0, end = 1000;
	pthread_t thread;

	REQUIRE(sem_init(&wake.returned, 0, 0) == 0);
	REQUIRE(pthread_create(&thread, NULL, wake_main, &wake) == 0);
	for (int i = 0; i < n && n_missed == 0; i++) {
		n_missed += !request_once(cancel);
		if (i % 10 == 0)
			wake_once(&wake, eventfd_wake);
	}
	CHECK(write(wake.fd, &end, sizeof end) == sizeof end);
	pthread_join(thread, NULL);
	sem_destroy(&wake.returned);
	close(wake.fd);
	return n_missed;
}

/* Everything has stopped: read what is left and compare. */
static void settle(void)
{
	uint32_t meminfo[9] = { 0 };
	socklen_t len = sizeof meminfo;
	struct batch batch;
	int fd = run.scenario->receives ? run.in : run.out;
	int n;

	batch_init(&batch);
	while ((n = recvmmsg(fd, batch.msgs, N_BATCH, MSG_DONTWAIT, NULL)) > 0)
		take(batch.numbers, n);
	if (run.scenario->receives)
		getsockopt(run.in, SOL_SOCKET, SO_MEMINFO, meminfo, &len);
	CHECK_EQ(run.n_sent, run.n_received + meminfo[8]);
	CHECK_EQ(run.n_disordered, 0);
	CHECK_EQ(run.n_errors, 0);
	printf("  sent %llu, received %llu, dropped by the kernel %u, unrelated signals %llu\n",
	       (unsigned long long)run.n_sent, (unsigned long long)run.n_received, meminfo[8],
	       (unsigned long long)atomic_load(&run.n_signals));
	close(run.in);
	close(run.out);
}

static void play(const struct scenario *scenario, int n_requests)
{
	struct histogram cancel = { 0 }, eventfd_wake = { 0 };
	pthread_t worker, traffic, disturber;
	bool disturbed = scenario->disturbance == SIGNALS || scenario->disturbance == FORKS;
	pid_t stopper = 0;
	int r;
	uint64_t n_missed;

	memset(&run, 0, sizeof run);
	run.scenario = scenario;
	REQUIRE(sem_init(&run.acked, 0, 0) == 0);
	last_number = -1;
	printf("%s: %d requests\n", scenario->name, n_requests);
	open_sockets();
	REQUIRE(pthread_create(&worker, NULL, worker_main, NULL) == 0);
	while (!atomic_load(&run.ready))
		sched_yield();
	if (scenario->flooded)
		REQUIRE(pthread_create(&traffic, NULL, traffic_main, NULL) == 0);
	if (disturbed)
		REQUIRE(pthread_create(&disturber, NULL, disturb_main, NULL) == 0);
	if (scenario->disturbance == STOPS)
		stopper = start_stopper();

	n_missed = requests(n_requests, &cancel, &eventfd_wake);
	CHECK_EQ(n_missed, 0);
	REQUIRE(n_missed == 0); /* a worker that does not react cannot be joined */

	if (stopper > 0) {
		atomic_store(stopper_quit, true);
		waitpid(stopper, NULL, 0);
	}
	/* The sending worker needs its reader until it has left. */
	atomic_store(&run.quit, true);
	r = volley_cancel_request_wait(run.handle, 20000000);
	/* A signal or a datagram may have shown it `quit` before that: then it is gone. */
	CHECK(r == 0 || r == -ESRCH);
	pthread_join(worker, NULL);
	atomic_store(&run.stop, true);
	if (scenario->flooded)
		pthread_join(traffic, NULL);
	if (disturbed)
		pthread_join(disturber, NULL);
	volley_cancel_unref(run.handle);
	sem_destroy(&run.acked);
	CHECK_EQ(cancel.n, n_requests);
	settle();
	histogram_print("request to return", &cancel);
	histogram_print("eventfd write to return", &eventfd_wake);
	fflush(stdout);
}

int main(int argc, char **argv)
{
	static const struct scenario scenarios[] = {
		{ "idle", true, false, QUIET, 30 },
		{ "flooded", true, true, QUIET, 30 },
		{ "sending into a full queue", false, true, QUIET, 18 },
		{ "idle, signal storm", true, false, SIGNALS, 10 },
		{ "flooded, signal storm", true, true, SIGNALS, 10 },
		{ "flooded, SIGSTOP and SIGCONT", true, true, STOPS, 1 },
		{ "flooded, fork in a handler", true, true, FORKS, 1 },
	};
	struct sigaction usr1 = { .sa_handler = on_usr1, .sa_flags = SA_RESTART };
	struct sigaction usr2 = { .sa_handler = on_usr2, .sa_flags = SA_RESTART };
	int n_all = argc > 1 && strcmp(argv[1], "--long") == 0 ? 1000000 : 100000;

	sigaction(SIGUSR1, &usr1, NULL);
	sigaction(SIGUSR2, &usr2, NULL);
	for (size_t i = 0; i < sizeof scenarios / sizeof scenarios[0]; i++)
		play(&scenarios[i], n_all / 100 * scenarios[i].percent);
	return check_done();
}
