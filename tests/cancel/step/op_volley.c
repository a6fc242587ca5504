/* SPDX-License-Identifier: MIT */

/* volley's calls as the stepping driver makes them, and what must hold after each. */

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <volley/cancel.h>
#include <volley/mmsg.h>

#include "../../../examples/relay/relay.h"
#include "step.h"

static struct mmsghdr msgs[N_BATCH];
static struct iovec iovs[N_BATCH];
static uint32_t numbers[N_BATCH];
static struct relay relay;

/* The victim's and the helper's own. */
struct end {
	struct volley_cancel *handle;
	int eventfd;
	int free_fd; /* the lowest free descriptor: goes up when one leaks */
};
static struct end victim, helper;

/* --- what must hold --------------------------------------------------------------------------- */

static bool is_readable(int fd)
{
	struct pollfd poll_in = { .fd = fd, .events = POLLIN };

	return poll(&poll_in, 1, 0) == 1;
}

static int lowest_free_fd(void)
{
	int fd = fcntl(0, F_DUPFD_CLOEXEC, 0);

	close(fd);
	return fd;
}

/* Nothing of ours is left: not pending, not blocked, not readable, no request, no descriptor. */
static void check_clean(struct end *end, const char *when)
{
	sigset_t set;

	sigpending(&set);
	if (sigismember(&set, SIGURG))
		victim_fault("%s: signal pending", when);
	pthread_sigmask(SIG_SETMASK, NULL, &set);
	if (sigismember(&set, SIGURG))
		victim_fault("%s: signal blocked", when);
	if (sigismember(&set, SIGUSR1) || sigismember(&set, SIGTERM))
		victim_fault("%s: other signals blocked", when);
	if (is_readable(end->eventfd))
		victim_fault("%s: eventfd readable", when);
	if (volley_cancel_pending() != 0 || volley_cancel_test() != 0)
		victim_fault("%s: request pending", when);
	if (lowest_free_fd() != end->free_fd)
		victim_fault("%s: descriptor leaked", when);
}

/* A request is pending, and says so everywhere; then it is cleared. */
static void check_pending(struct end *end)
{
	char byte;
	ssize_t r;

	if (volley_cancel_pending() != 1 || volley_cancel_test() != -ECANCELED) {
		victim_fault("request forgotten");
		return;
	}
	if (!is_readable(end->eventfd))
		victim_fault("request pending, eventfd not readable");
	r = volley_read(wires.silent[0], &byte, 1);
	if (r != -ECANCELED)
		victim_fault("next point returned %zd", r);
	if (volley_cancel_clear() != 0)
		victim_fault("clear failed");
}

static void attach_end(struct end *end)
{
	int r = volley_cancel_attach(&end->handle);

	if (r < 0 || volley_cancel_set_waker(end->eventfd) < 0)
		victim_fault("attach: %d", r);
}

static void open_end(struct end *end)
{
	end->eventfd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	attach_end(end);
}

/* --- the calls -------------------------------------------------------------------------------- */

static int64_t report(int64_t r, int n)
{
	for (int i = 0; i < n; i++)
		shared->reported[i] = numbers[i];
	shared->n_reported = n > 0 ? n : 0;
	return r;
}

static int64_t call_recvmmsg(void)
{
	int n = volley_recvmmsg(wires.recv_in, msgs, N_BATCH, 0);

	return report(n, n);
}

static int64_t call_sendmmsg(void)
{
	int n = volley_sendmmsg(wires.send_in, msgs, N_BATCH, 0);

	return report(n, n);
}

static int64_t call_recvmsg(void)
{
	ssize_t r = volley_recvmsg(wires.recv_in, &msgs[0].msg_hdr, 0);

	return report(r, r >= 0);
}

static int64_t call_sendmsg(void)
{
	ssize_t r = volley_sendmsg(wires.send_in, &msgs[0].msg_hdr, 0);

	return report(r, r >= 0);
}

static int64_t call_read(void)
{
	ssize_t r = volley_read(wires.recv_in, numbers, sizeof numbers[0]);

	return report(r, r >= 0);
}

static int64_t call_write(void)
{
	ssize_t r = volley_write(wires.send_in, numbers, sizeof numbers[0]);

	return report(r, r >= 0);
}

static int64_t call_syscall(void)
{
	long r = volley_cancel_syscall(SYS_recvfrom, wires.recv_in, (long)numbers,
				       sizeof numbers[0], 0, 0, 0);

	return report(r, r >= 0);
}

static int64_t call_ppoll(void)
{
	struct pollfd fd = { .fd = wires.recv_in, .events = POLLIN };

	return volley_ppoll(&fd, 1, NULL, NULL);
}

static int64_t call_epoll_wait(void)
{
	struct epoll_event event;

	return volley_epoll_wait(wires.epoll, &event, 1, -1);
}

static int64_t call_accept4(void)
{
	int fd = volley_accept4(wires.listener, NULL, NULL, SOCK_CLOEXEC);

	if (fd >= 0)
		close(fd);
	return report(fd, fd >= 0);
}

static int64_t call_relay(void)
{
	struct relay_counts counts = { 0 };
	int r = relay_once(&relay, &counts);

	if (counts.n_failed != 0)
		victim_fault("relay: %d failed", (int)counts.n_failed);
	shared->n_reported = (int)counts.n_sent;
	return r;
}

static int64_t call_clear(void)
{
	return volley_cancel_clear();
}

static int64_t call_detach(void)
{
	return volley_cancel_detach();
}

/*
 * Disabled, nothing is cancelled nor interrupted, but for the poll by the unrelated handler. The
 * nap is long enough to be stopped in.
 */
static const struct timespec nap = { .tv_nsec = 20000000 };

static int64_t call_disable(void)
{
	int64_t r;

	volley_cancel_set_state(VOLLEY_CANCEL_DISABLE, NULL);
	r = volley_ppoll(NULL, 0, &nap, NULL);
	volley_cancel_set_state(VOLLEY_CANCEL_ENABLE, NULL);
	if (r != 0 && !(r == -EINTR && atomic_load(&shared->n_signals) > 0))
		victim_fault("disabled, and ppoll returned %d", (int)r);
	return r;
}

/* Likewise from commit to leave. */
static int64_t call_region(void)
{
	int64_t r = volley_cancel_enter();

	if (r < 0)
		return r;
	volley_cancel_commit();
	r = volley_ppoll(NULL, 0, &nap, NULL);
	volley_cancel_leave();
	if (r != 0 && !(r == -EINTR && atomic_load(&shared->n_signals) > 0))
		victim_fault("committed, and ppoll returned %d", (int)r);
	return r;
}

static int64_t call_request(void)
{
	return volley_cancel_request(helper.handle);
}

/* --- before and after ------------------------------------------------------------------------- */

static void attach(void)
{
	open_end(&victim);
}

static void before(const struct op *op)
{
	if (victim.free_fd == 0)
		victim.free_fd = lowest_free_fd();
	for (uint32_t i = 0; i < N_BATCH; i++) {
		numbers[i] = i;
		iovs[i] = (struct iovec){ &numbers[i], sizeof numbers[i] };
		msgs[i].msg_hdr = (struct msghdr){ .msg_iov = &iovs[i], .msg_iovlen = 1 };
	}
	if (op->direction == RELAYS)
		relay_init(&relay, wires.recv_in, wires.send_in, NULL, NULL);
	if (op->call == call_clear)
		volley_cancel_request(victim.handle);
}

/* A request that came in time is covered, a later one is pending; never something between. */
static void after_clear(void)
{
	shared->pending_after = volley_cancel_pending() != 0;
	if (shared->pending_after)
		check_pending(&victim);
	check_clean(&victim, "after clear");
}

static void after_detach(void)
{
	struct volley_cancel *old = victim.handle;
	uint64_t count;

	if (volley_cancel_self() != NULL)
		victim_fault("attached after detach");
	if (volley_cancel_request(old) != -ESRCH)
		victim_fault("request after detach");
	volley_cancel_unref(old);
	if (read(victim.eventfd, &count, sizeof count) > 0)
		victim_fault("eventfd readable after detach");
	check_clean(&victim, "after detach");
	attach_end(&victim);
}

static void after(const struct op *op)
{
	if (op->direction == STEPS_REQUEST) {
		if (shared->result != 0 && (op->event != EVENT_DETACH || shared->result != -ESRCH))
			victim_fault("request: %d", (int)shared->result);
		check_clean(&victim, "requester");
		return;
	}
	if (op->call == call_clear) {
		after_clear();
		return;
	}
	if (op->call == call_detach) {
		after_detach();
		return;
	}
	if (op->direction == CONTROLS && shared->result == -EINTR)
		shared->result = 0; /* the unrelated handler; the call has made sure */
	if (shared->result == -ECANCELED ? shared->n_reported != 0 : shared->result < 0)
		victim_fault("returned %d", (int)shared->result);
	check_pending(&victim);
	check_clean(&victim, "after clear");
}

/* --- the helper as the target of a stepped request -------------------------------------------- */

static void helper_finish(void)
{
	shared->pending_after = volley_cancel_pending() != 0;
	if (shared->pending_after)
		check_pending(&helper);
	check_clean(&helper, "helper");
}

int helper_event(enum event event)
{
	char byte;

	if (helper.free_fd == 0 && event != EVENT_ATTACH)
		helper.free_fd = lowest_free_fd();
	switch (event) {
	case EVENT_ATTACH:
		open_end(&helper);
		return 0;
	case EVENT_CLEAR:
		return volley_cancel_clear();
	case EVENT_DETACH:
		return volley_cancel_detach();
	case EVENT_SLEEP:
		return (int)volley_read(wires.silent[0], &byte, 1);
	case EVENT_LOOK:
		/* The order that a worker relies on: who sees the nudge sees the flag. */
		if (is_readable(helper.eventfd) && !volley_cancel_pending())
			victim_fault("eventfd before flag");
		return 0;
	case EVENT_FINISH:
		if (volley_cancel_self() == NULL) {
			volley_cancel_unref(helper.handle);
			check_clean(&helper, "helper after detach");
			attach_end(&helper);
			return 0;
		}
		helper_finish();
		return 0;
	default:
		return 0;
	}
}

static int request(void)
{
	return volley_cancel_request(victim.handle);
}

static const struct op ops[] = {
	{ "recvmmsg", RECEIVES, call_recvmmsg, EVENT_NONE, true },
	{ "sendmmsg", SENDS, call_sendmmsg, EVENT_NONE, true },
	{ "recvmsg", RECEIVES, call_recvmsg, EVENT_NONE, false },
	{ "sendmsg", SENDS, call_sendmsg, EVENT_NONE, false },
	{ "read", RECEIVES, call_read, EVENT_NONE, false },
	{ "write", SENDS, call_write, EVENT_NONE, false },
	{ "syscall", RECEIVES, call_syscall, EVENT_NONE, false },
	{ "ppoll", POLLS, call_ppoll, EVENT_NONE, false },
	{ "epoll_wait", POLLS, call_epoll_wait, EVENT_NONE, false },
	{ "accept4", ACCEPTS, call_accept4, EVENT_NONE, false },
	{ "relay", RELAYS, call_relay, EVENT_NONE, false },
	{ "disable..enable", CONTROLS, call_disable, EVENT_NONE, false },
	{ "enter..leave", CONTROLS, call_region, EVENT_NONE, false },
	{ "clear", CONTROLS, call_clear, EVENT_NONE, true },
	{ "detach", CONTROLS, call_detach, EVENT_NONE, false },
	{ "request/clear", STEPS_REQUEST, call_request, EVENT_CLEAR, false },
	{ "request/detach", STEPS_REQUEST, call_request, EVENT_DETACH, false },
	{ "request/sleep", STEPS_REQUEST, call_request, EVENT_SLEEP, false },
	{ "request/look", STEPS_REQUEST, call_request, EVENT_LOOK, false },
};

const struct library volley_library = {
	.name = "volley",
	.ops = ops,
	.n_ops = sizeof ops / sizeof ops[0],
	.attach = attach,
	.before = before,
	.after = after,
	.request = request,
	.single_use = false,
};
