/* SPDX-License-Identifier: MIT */

/*
 * Every cancellation point, once idle and once with something to do, with and without a handler on
 * top; regions, states, the waker and the exit mode. A plain program that needs nothing but the
 * cancel library, so that it also runs with musl and, under qemu, on other CPUs.
 */

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include <volley/cancel.h>
#include <volley/mmsg.h>

#include "../lib/check.h"

#define N_BATCH 4

static struct mmsghdr msgs[N_BATCH];
static struct iovec iovs[N_BATCH];
static uint32_t numbers[N_BATCH];
static int in, out, listener, epoll_fd, silent[2];
static bool has_window;

static void prepare(void)
{
	for (uint32_t i = 0; i < N_BATCH; i++) {
		numbers[i] = i;
		iovs[i] = (struct iovec){ &numbers[i], sizeof numbers[i] };
		msgs[i].msg_hdr = (struct msghdr){ .msg_iov = &iovs[i], .msg_iovlen = 1 };
	}
}

/* Each returns a count, or -errno. */
static long do_recvmmsg(void)
{
	return volley_recvmmsg(in, msgs, N_BATCH, 0);
}

static long do_recvmsg(void)
{
	ssize_t r = volley_recvmsg(in, &msgs[0].msg_hdr, 0);

	return r < 0 ? r : 1;
}

static long do_read(void)
{
	ssize_t r = volley_read(in, numbers, sizeof numbers[0]);

	return r < 0 ? r : 1;
}

static long do_ppoll(void)
{
	struct pollfd fd = { .fd = in, .events = POLLIN };

	return volley_ppoll(&fd, 1, NULL, NULL);
}

static long do_epoll_wait(void)
{
	struct epoll_event event;

	return volley_epoll_wait(epoll_fd, &event, 1, -1);
}

static long do_sendmmsg(void)
{
	return volley_sendmmsg(out, msgs, N_BATCH, 0);
}

static long do_sendmsg(void)
{
	ssize_t r = volley_sendmsg(out, &msgs[0].msg_hdr, 0);

	return r < 0 ? r : 1;
}

static long do_write(void)
{
	ssize_t r = volley_write(out, numbers, sizeof numbers[0]);

	return r < 0 ? r : 1;
}

static long do_syscall(void)
{
	long r = volley_cancel_syscall(SYS_read, in, (long)numbers, sizeof numbers[0], 0, 0, 0);

	return r < 0 ? r : 1;
}

static long do_accept4(void)
{
	int fd = volley_accept4(listener, NULL, NULL, 0);

	if (fd >= 0)
		close(fd);
	return fd < 0 ? fd : 1;
}

static const struct call {
	const char *name;
	long (*call)(void);
	bool sends;
	long done; /* what it returns with three messages waiting */
	long taken;
} calls[] = {
	{ "recvmmsg", do_recvmmsg, false, 3, 3 },
	{ "recvmsg", do_recvmsg, false, 1, 1 },
	{ "read", do_read, false, 1, 1 },
	{ "ppoll", do_ppoll, false, 1, 0 },
	{ "epoll_wait", do_epoll_wait, false, 1, 0 },
	{ "syscall", do_syscall, false, 1, 1 },
	{ "sendmmsg", do_sendmmsg, true, 4, 4 },
	{ "sendmsg", do_sendmsg, true, 1, 1 },
	{ "write", do_write, true, 1, 1 },
};

static struct {
	long (*call)(void);
	struct volley_cancel *handle;
	_Atomic pid_t tid;
	_Atomic int n_signals;
	long result;
} run;

/* Asleep in the kernel: the tests wait for that instead of for some time. */
static void await_sleep(pid_t tid)
{
	char path[64], text[256];
	const char *state = NULL;

	snprintf(path, sizeof path, "/proc/self/task/%d/stat", (int)tid);
	do {
		FILE *f = fopen(path, "r");

		sched_yield();
		if (f == NULL)
			return;
		state = fgets(text, sizeof text, f) != NULL ? strrchr(text, ')') : NULL;
		fclose(f);
	} while (state == NULL || state[2] != 'S');
}

static void *victim_main(void *arg)
{
	sigset_t set;

	(void)arg;
	REQUIRE(volley_cancel_attach(&run.handle) == 0);
	atomic_store(&run.tid, (pid_t)syscall(SYS_gettid));
	run.result = run.call();
	CHECK_EQ(volley_cancel_pending(), 1);
	CHECK_EQ(volley_cancel_test(), -ECANCELED);
	CHECK_EQ(do_read(), -ECANCELED);
	CHECK_EQ(volley_cancel_clear(), 0);
	CHECK_EQ(volley_cancel_pending(), 0);
	CHECK_EQ(volley_cancel_test(), 0);
	sigpending(&set);
	CHECK_EQ(sigismember(&set, SIGURG), 0);
	CHECK_EQ(volley_cancel_detach(), 0);
	pthread_sigmask(SIG_SETMASK, NULL, &set);
	CHECK_EQ(sigismember(&set, SIGURG), 0);
	return NULL;
}

static int drain(int fd)
{
	uint32_t number;
	int n = 0;

	while (recv(fd, &number, sizeof number, MSG_DONTWAIT) >= 0)
		n++;
	return n;
}

static void start(long (*call)(void), pthread_t *ret_thread)
{
	prepare();
	run.call = call;
	run.handle = NULL;
	atomic_store(&run.tid, 0);
	REQUIRE(pthread_create(ret_thread, NULL, victim_main, NULL) == 0);
	while (atomic_load(&run.tid) == 0)
		sched_yield();
}

static void finish(pthread_t thread)
{
	CHECK_EQ(volley_cancel_request(run.handle), 0);
	pthread_join(thread, NULL);
	CHECK_EQ(volley_cancel_request(run.handle), -ESRCH);
	volley_cancel_unref(run.handle);
}

static void test_blocked(const struct call *call)
{
	uint32_t filler = 0;
	pthread_t thread;

	while (call->sends && send(out, &filler, sizeof filler, MSG_DONTWAIT) > 0)
		;
	start(call->call, &thread);
	await_sleep(atomic_load(&run.tid));
	finish(thread);
	CHECK_EQ(run.result, -ECANCELED);
	drain(in);
}

/* A signal handler that blocks lies on top of the blocked call: both are cancelled. */
static void on_usr1(int signo)
{
	char byte;
	int saved = errno;

	(void)signo;
	atomic_fetch_add(&run.n_signals, 1);
	CHECK_EQ(volley_read(silent[0], &byte, 1), -ECANCELED);
	errno = saved;
}

static void test_nested(const struct call *call)
{
	uint32_t filler = 0;
	pthread_t thread;

	while (call->sends && send(out, &filler, sizeof filler, MSG_DONTWAIT) > 0)
		;
	atomic_store(&run.n_signals, 0);
	start(call->call, &thread);
	await_sleep(atomic_load(&run.tid));
	pthread_kill(thread, SIGUSR1);
	while (atomic_load(&run.n_signals) == 0)
		sched_yield();
	await_sleep(atomic_load(&run.tid));
	finish(thread);
	CHECK_EQ(run.result, -ECANCELED);
	drain(in);
}

static void test_busy(const struct call *call)
{
	for (uint32_t i = 0; !call->sends && i < 3; i++)
		CHECK_EQ(send(out, &i, sizeof i, 0), sizeof i);
	prepare();
	CHECK_EQ(volley_cancel_attach(NULL), 0);
	CHECK_EQ(call->call(), call->done);
	CHECK_EQ(drain(in), call->sends ? call->taken : 3 - call->taken);
	CHECK_EQ(volley_cancel_detach(), 0);
}

static void test_accept(void)
{
	pthread_t thread;

	start(do_accept4, &thread);
	await_sleep(atomic_load(&run.tid));
	finish(thread);
	CHECK_EQ(run.result, -ECANCELED);
}

static long do_region(void)
{
	char byte;
	long r = volley_cancel_enter();

	if (r < 0)
		return r;
	r = volley_read(silent[0], &byte, 1); /* not committed: cancelled */
	CHECK_EQ(volley_cancel_commit(), 0);
	CHECK_EQ(volley_cancel_test(), 0);
	CHECK_EQ(volley_sendmmsg(out, msgs, N_BATCH, 0), N_BATCH);
	CHECK_EQ(volley_cancel_leave(), 0);
	return r;
}

static void test_region(void)
{
	pthread_t thread;

	start(do_region, &thread);
	await_sleep(atomic_load(&run.tid));
	finish(thread);
	CHECK_EQ(run.result, -ECANCELED);
	CHECK_EQ(drain(in), N_BATCH);
	CHECK_EQ(volley_cancel_leave(), 0); /* not attached: regions are nothing */
}

static void test_counts(void)
{
	struct mmsghdr *many = calloc(1025, sizeof *many);
	struct iovec iov = { numbers, sizeof numbers[0] };

	REQUIRE(many != NULL);
	for (int i = 0; i < 1025; i++)
		many[i].msg_hdr = (struct msghdr){ .msg_iov = &iov, .msg_iovlen = 1 };
	CHECK_EQ(volley_recvmmsg(in, many, 0, 0), 0);
	CHECK_EQ(volley_sendmmsg(out, many, 0, 0), 0);
	CHECK_EQ(volley_recvmmsg(in, many, 1024, MSG_DONTWAIT), -EAGAIN);
	CHECK_EQ(send(out, "", 0, 0), 0); /* an empty datagram is a datagram */
	CHECK_EQ(volley_recvmmsg(in, many, 1025, 0), 1);
	many[2].msg_hdr.msg_iov = NULL;
	many[2].msg_hdr.msg_iovlen = 1;
	CHECK_EQ(volley_sendmmsg(out, many, 4, 0), 2); /* a short count is no cancellation */
	CHECK_EQ(volley_sendmmsg(out, many + 2, 2, 0), -EFAULT);
	CHECK_EQ(drain(in), 2);
	free(many);
}

static void test_waker(void)
{
	struct volley_cancel *handle;
	int fd = eventfd(0, EFD_NONBLOCK);
	struct pollfd waker = { .fd = fd, .events = POLLIN };

	CHECK_EQ(volley_cancel_attach(&handle), 0);
	CHECK_EQ(volley_cancel_set_waker(fd), 0);
	CHECK_EQ(volley_cancel_request(handle), 0);
	CHECK_EQ(poll(&waker, 1, 0), 1);
	CHECK_EQ(volley_cancel_set_state(VOLLEY_CANCEL_DISABLE, NULL), 0);
	CHECK_EQ(volley_cancel_test(), 0);
	CHECK_EQ(volley_cancel_set_state(VOLLEY_CANCEL_ENABLE, NULL), 0);
	CHECK_EQ(volley_cancel_test(), -ECANCELED);
	CHECK_EQ(volley_cancel_clear(), 0);
	CHECK_EQ(poll(&waker, 1, 0), 0);
	CHECK_EQ(volley_cancel_detach(), 0);
	volley_cancel_unref(handle);
	close(fd);
}

static bool cleaned_up;

static void clean_up(void *arg)
{
	(void)arg;
	cleaned_up = true;
	CHECK_EQ(volley_cancel_pending(), 0);
}

static long do_exit_mode(void)
{
	char byte;

	volley_cancel_set_exit(1);
	pthread_cleanup_push(clean_up, NULL);
	volley_read(silent[0], &byte, 1);
	pthread_cleanup_pop(0);
	return 0;
}

static void test_exit(void)
{
	pthread_t thread;
	void *result = NULL;

	start(do_exit_mode, &thread);
	await_sleep(atomic_load(&run.tid));
	CHECK_EQ(volley_cancel_request_wait(run.handle, -1), 0);
	pthread_join(thread, &result);
	CHECK(result == PTHREAD_CANCELED);
	CHECK(cleaned_up);
	volley_cancel_unref(run.handle);
}

static void open_all(void)
{
	struct epoll_event event = { .events = EPOLLIN };
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int pair[2], few = 4608;

	REQUIRE(socketpair(AF_UNIX, SOCK_DGRAM, 0, pair) == 0);
	REQUIRE(socketpair(AF_UNIX, SOCK_DGRAM, 0, silent) == 0); /* nobody writes to it */
	in = pair[0];
	out = pair[1];
	setsockopt(out, SOL_SOCKET, SO_SNDBUF, &few, sizeof few);
	epoll_fd = epoll_create1(0);
	REQUIRE(epoll_ctl(epoll_fd, EPOLL_CTL_ADD, in, &event) == 0);
	listener = socket(AF_UNIX, SOCK_STREAM, 0);
	REQUIRE(bind(listener, (struct sockaddr *)&addr, sizeof(sa_family_t)) == 0);
	REQUIRE(listen(listener, 1) == 0);
}

int main(void)
{
	struct sigaction action = { .sa_handler = on_usr1, .sa_flags = SA_RESTART };

	sigaction(SIGUSR1, &action, NULL);
	open_all();
	/* The ppoll variant cannot do any call, and says so. */
	has_window = volley_cancel_syscall(SYS_getpid, 0, 0, 0, 0, 0, 0) > 0;
	for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++) {
		if (calls[i].call == do_syscall && !has_window) {
			SKIP("no volley_cancel_syscall() in the ppoll variant");
			continue;
		}
		printf("%s\n", calls[i].name);
		fflush(stdout);
		test_busy(&calls[i]);
		test_blocked(&calls[i]);
		test_nested(&calls[i]);
	}
	if (has_window)
		test_accept();
	else
		SKIP("no blocking accept4 in the ppoll variant");
	test_region();
	test_counts();
	test_waker();
	test_exit();
	return check_done();
}
