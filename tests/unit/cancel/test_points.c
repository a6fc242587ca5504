/* SPDX-License-Identifier: MIT */

/*
 * Every cancellation point, in the situations that a request can find it in. Built for the window
 * and for the ppoll variant; where they differ by contract, the test says so.
 */

#include <criterion/criterion.h>
#include <sys/eventfd.h>
#include <sys/wait.h>

#include "points.h"

static void open_full_stream(void)
{
	open_full(SOCK_STREAM);
}

static void unfill(void)
{
	char junk[1024];

	while (recv(fds[1], junk, sizeof junk, MSG_DONTWAIT) > 0)
		;
}

static void write_one(void)
{
	cr_assert_eq(write(fds[1], "x", 1), 1);
}

static void connect_one(void)
{
	struct sockaddr_in addr;
	socklen_t len = sizeof addr;

	cr_assert_eq(getsockname(fds[0], (void *)&addr, &len), 0);
	connect(fds[1], (void *)&addr, len);
}

static long call_ppoll(void *arg)
{
	struct pollfd pollfd = { .fd = fds[0], .events = POLLIN };

	(void)arg;
	return volley_ppoll(&pollfd, 1, NULL, NULL);
}

/* A mask that says of our signal the opposite of what it must be: blocked. */
static long call_ppoll_masked(void *arg)
{
	struct pollfd pollfd = { .fd = fds[0], .events = POLLIN };
	struct timespec timeout = { .tv_sec = 1000 };
	sigset_t mask;
	long r;

	(void)arg;
	sigfillset(&mask);
	sigdelset(&mask, SIGUSR1);
	r = volley_ppoll(&pollfd, 1, &timeout, &mask);
	return timeout.tv_sec == 1000 && timeout.tv_nsec == 0 ? r : -EILSEQ;
}

static long call_epoll_wait(void *arg)
{
	struct epoll_event event = { .events = EPOLLIN };
	int epfd = epoll_create1(EPOLL_CLOEXEC);
	long r = -errno;

	(void)arg;
	errno = 4711;
	if (epfd >= 0 && epoll_ctl(epfd, EPOLL_CTL_ADD, fds[0], &event) == 0)
		r = volley_epoll_wait(epfd, &event, 1, -1);
	close(epfd);
	return r;
}

static long call_syscall(void *arg)
{
	char buf[64];

	(void)arg;
	return volley_cancel_syscall(SYS_read, fds[0], (long)buf, sizeof buf, 0, 0, 0);
}

static const struct point {
	const char *name;
	void (*open)(void);
	void (*satisfy)(void);
	long (*call)(void *arg);
	bool restarts;    /* under SA_RESTART, in the window */
	bool window_only; /* -ENOSYS in the ppoll variant on a blocking descriptor */
} points[] = {
	{ "recvmsg", open_udp, send_one, call_recvmsg, true, false },
	{ "recvmmsg", open_udp, send_one, call_recvmmsg, true, false },
	{ "sendmsg", open_full_dgram, unfill, call_sendmsg, true, false },
	{ "sendmmsg", open_full_dgram, unfill, call_sendmmsg, true, false },
	{ "read socket", open_udp, send_one, call_read, true, false },
	{ "write socket", open_full_stream, unfill, call_write, true, false },
	{ "read pipe", open_pipe, write_one, call_read, true, true },
	{ "ppoll", open_udp, send_one, call_ppoll, false, false },
	{ "ppoll masked", open_udp, send_one, call_ppoll_masked, false, false },
	{ "epoll_wait", open_udp, send_one, call_epoll_wait, false, false },
	{ "accept4", open_listener, connect_one, call_accept4, true, true },
	{ "syscall", open_pipe, write_one, call_syscall, true, true },
};

#define N_POINTS (sizeof(points) / sizeof(points[0]))

/* A test that is run on one point after the other, each with descriptors of its own. */
#define EACH_POINT(name)                                \
	static void name(const struct point *point);    \
	Test(points, name)                              \
	{                                               \
		for (size_t i = 0; i < N_POINTS; i++) { \
			name(&points[i]);               \
			close(fds[0]);                  \
			close(fds[1]);                  \
		}                                       \
	}                                               \
	static void name(const struct point *point)

/* Valgrind ignores the edited mask, and a call beneath a handler is then not looked at again. */
static bool sees_below_handlers(void)
{
	return !IS_WINDOW || vly_cancel_is_mask_kept();
}

static bool is_missing(const struct point *point)
{
	return point->window_only && !IS_WINDOW;
}

/* A request that came first: the call fails, although it could succeed, and takes nothing. */
EACH_POINT(pending_fails)
{
	point->open();
	cr_assert_eq(volley_cancel_attach(NULL), 0);
	point->satisfy();
	if (is_missing(point)) {
		cr_assert_eq(point->call(NULL), -ENOSYS, "%s", point->name);
		cr_assert_eq(volley_cancel_detach(), 0);
		return;
	}
	cr_assert_eq(volley_cancel_request(volley_cancel_self()), 0);
	cr_assert_eq(point->call(NULL), -ECANCELED, "%s", point->name);
	cr_assert_eq(point->call(NULL), -ECANCELED, "%s: sticky", point->name);
	cr_assert_eq(volley_cancel_pending(), 1);
	cr_assert_eq(volley_cancel_clear(), 0);
	cr_assert_eq(point->call(NULL), 1, "%s", point->name);
	cr_assert_eq(volley_cancel_detach(), 0);
}

EACH_POINT(blocked_fails)
{
	struct victim victim;

	point->open();
	if (is_missing(point))
		return;
	victim_start(&victim, point->call, NULL);
	wait_asleep(victim.tid);
	cr_assert_eq(volley_cancel_request(victim.handle), 0);
	victim_join(&victim);
	check_cancelled(point->name, &victim);
}

static struct victim *handler_victim;
static sem_t handler_ran;

static void on_request(int signo)
{
	(void)signo;
	volley_cancel_request(handler_victim->handle);
	sem_post(&handler_ran);
}

static void on_nothing(int signo)
{
	(void)signo;
	sem_post(&handler_ran);
}

static void wait_handler(void)
{
	while (sem_wait(&handler_ran) < 0)
		;
}

static void handle(int signo, void (*handler)(int signo), int flags)
{
	struct sigaction action = { .sa_handler = handler, .sa_flags = flags };

	sem_init(&handler_ran, 0, 0);
	cr_assert_eq(sigaction(signo, &action, NULL), 0);
}

/* The thread requests its own cancellation in a signal handler that lies on the blocked call. */
EACH_POINT(request_in_handler_on_top)
{
	struct victim victim;

	point->open();
	if (is_missing(point) || !sees_below_handlers())
		return;
	handle(SIGUSR1, on_request, SA_RESTART);
	victim_start(&victim, point->call, NULL);
	handler_victim = &victim;
	wait_asleep(victim.tid);
	pthread_kill(victim.thread, SIGUSR1);
	victim_join(&victim);
	check_cancelled(point->name, &victim);
}

static sem_t handler_go;
static _Atomic bool handler_in;

static void on_wait(int signo)
{
	(void)signo;
	atomic_store(&handler_in, true);
	while (sem_wait(&handler_go) < 0)
		;
}

static void request_on_top(const struct point *point, bool with_helper)
{
	struct sigaction action = { .sa_handler = on_wait, .sa_flags = SA_RESTART };
	struct victim victim;

	sem_init(&handler_go, 0, 0);
	atomic_store(&handler_in, false);
	if (with_helper)
		cr_assert_eq(volley_cancel_sigaction(SIGUSR1, &action, NULL), 0);
	else
		cr_assert_eq(sigaction(SIGUSR1, &action, NULL), 0);
	victim_start(&victim, point->call, NULL);
	wait_asleep(victim.tid);
	pthread_kill(victim.thread, SIGUSR1);
	while (!atomic_load(&handler_in))
		sched_yield();
	wait_asleep(victim.tid);
	cr_assert_eq(volley_cancel_request(victim.handle), 0);
	sem_post(&handler_go);
	victim_join(&victim);
	check_cancelled(point->name, &victim);
}

/* The request hits the handler; the blocked call beneath must not go on sleeping. */
EACH_POINT(request_while_handler_on_top)
{
	point->open();
	if (!is_missing(point) && sees_below_handlers())
		request_on_top(point, false);
}

EACH_POINT(request_while_masked_handler_on_top)
{
	point->open();
	if (!is_missing(point))
		request_on_top(point, true);
}

/* A signal of the application: EINTR without SA_RESTART; with it the call goes on. */
EACH_POINT(other_signal)
{
	struct victim victim;

	point->open();
	if (is_missing(point))
		return;
	handle(SIGUSR1, on_nothing, 0);
	victim_start(&victim, point->call, NULL);
	wait_asleep(victim.tid);
	pthread_kill(victim.thread, SIGUSR1);
	victim_join(&victim);
	cr_assert_eq(victim.result, -EINTR, "%s: %ld", point->name, victim.result);
	cr_assert_eq(victim.pending, 0);
	cr_assert_eq(victim.saved_errno, 4711, "%s touched errno", point->name);

	handle(SIGUSR1, on_nothing, SA_RESTART);
	victim_start(&victim, point->call, NULL);
	wait_asleep(victim.tid);
	pthread_kill(victim.thread, SIGUSR1);
	if (point->restarts && IS_WINDOW) {
		wait_handler();
		wait_asleep(victim.tid);
		cr_assert_eq(volley_cancel_request(victim.handle), 0);
		victim_join(&victim);
		check_cancelled(point->name, &victim);
	} else {
		victim_join(&victim);
		cr_assert_eq(victim.result, -EINTR, "%s: %ld", point->name, victim.result);
	}
}

static long call_disabled(void *arg)
{
	const struct point *point = arg;
	enum volley_cancel_state old = VOLLEY_CANCEL_DISABLE;
	long r, r2;

	volley_cancel_set_state(VOLLEY_CANCEL_DISABLE, &old);
	r = point->call(NULL);
	volley_cancel_set_state(old, NULL);
	r2 = volley_cancel_test();
	return r == 1 && r2 == -ECANCELED ? 0 : r;
}

EACH_POINT(disabled_sleeps_on)
{
	struct point copy = *point;
	struct victim victim;

	point->open();
	if (is_missing(point))
		return;
	victim_start(&victim, call_disabled, &copy);
	wait_asleep(victim.tid);
	cr_assert_eq(volley_cancel_request(victim.handle), 0);
	/* A stray interruption would have ended the sleep by now or ends it before the data. */
	for (int i = 0; i < 100; i++)
		cr_assert_eq(thread_state(victim.tid), 'S', "%s woke", point->name);
	point->satisfy();
	victim_join(&victim);
	cr_assert_eq(victim.result, 0, "%s: %ld", point->name, victim.result);
	cr_assert_eq(victim.pending, 1);
}

/* Plain calls; -ENOSYS only for the generic call of the ppoll variant. */
EACH_POINT(not_attached)
{
	point->open();
	point->satisfy();
	cr_assert_eq(point->call(NULL), point->call == call_syscall && !IS_WINDOW ? -ENOSYS : 1,
		     "%s", point->name);
}
