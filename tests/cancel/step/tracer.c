/* SPDX-License-Identifier: MIT */

/*
 * ptrace: start a victim process, stop its victim thread at every instruction boundary, let it go.
 *
 * Signals for the victim show up as stops of their own; they are passed on with the next resume and
 * are not boundaries (the program counter has not moved). A step into the kernel that does not come
 * back while the thread sleeps is the boundary "asleep": it is left under way.
 *
 * All is pinned to one CPU by the caller: there a step takes 20 us instead of 70.
 */

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "step.h"

/* Asleep for that long without a reason to be is stuck. Generous: CI machines stall. */
#define STUCK_MS 400
/* Running for that long is stuck too. */
#define SPINNING_MS 20000

static int64_t clock_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* 'S' is asleep, 't' stopped by us, 'R' running. */
static char thread_state(const struct tracer *tracer)
{
	char path[64], text[256];
	const char *end;
	ssize_t n;
	int fd;

	snprintf(path, sizeof path, "/proc/%d/task/%d/stat", (int)tracer->pid, (int)tracer->tid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 'X';
	n = read(fd, text, sizeof text - 1);
	close(fd);
	if (n <= 0)
		return 'X';
	text[n] = 0;
	end = strrchr(text, ')');
	return end != NULL ? end[2] : 'X';
}

/* One stop, if there is one. Returns 0 for none, -1 when the thread is no more. */
static int poll_stop(struct tracer *tracer, int *ret_status)
{
	pid_t r = waitpid(tracer->tid, ret_status, __WALL | WNOHANG);

	if (r == 0)
		return 0;
	return r == tracer->tid && WIFSTOPPED(*ret_status) ? 1 : -1;
}

/* int3 in the victim's own code, as opposed to the trap after a step. */
static bool is_mark(const struct tracer *tracer)
{
	siginfo_t info;

	return ptrace(PTRACE_GETSIGINFO, tracer->tid, 0, &info) == 0 && info.si_code == SI_KERNEL;
}

static bool resume(struct tracer *tracer, int request)
{
	int signo = tracer->inject;

	tracer->inject = 0;
	return ptrace(request, tracer->tid, 0, (long)signo) == 0;
}

/* Go on with request, passing signals on, until a trap, sleep (if wanted) or trouble. */
static enum stop go(struct tracer *tracer, int request, bool want_asleep)
{
	int64_t start_ms = 0;
	int status, r;

	if (!tracer->asleep && !resume(tracer, request))
		return STOP_DEAD;
	for (int spins = 0;; spins++) {
		r = poll_stop(tracer, &status);
		if (r < 0)
			return STOP_DEAD;
		if (r > 0) {
			tracer->asleep = false;
			start_ms = 0;
			spins = 0;
			if (WSTOPSIG(status) == SIGTRAP && status >> 16 == 0)
				return is_mark(tracer) ? STOP_MARK : STOP_STEP;
			tracer->inject = status >> 16 == 0 ? WSTOPSIG(status) : 0;
			if (!resume(tracer, request))
				return STOP_DEAD;
			continue;
		}
		sched_yield();
		if (spins % 16 != 15)
			continue;
		start_ms = start_ms ? start_ms : clock_ms();
		r = thread_state(tracer);
		if (r == 'S' && want_asleep) {
			tracer->asleep = true;
			return STOP_ASLEEP;
		}
		if (clock_ms() - start_ms > (r == 'S' ? STUCK_MS : SPINNING_MS)) {
			tracer->asleep = true;
			return STOP_STUCK;
		}
	}
}

enum stop tracer_step(struct tracer *tracer)
{
	return go(tracer, PTRACE_SINGLESTEP, true);
}

enum stop tracer_await(struct tracer *tracer)
{
	return go(tracer, PTRACE_SINGLESTEP, false);
}

enum stop tracer_run(struct tracer *tracer)
{
	enum stop stop;

	/* A step that was under way ends in a trap of its own: not the mark yet. */
	do
		stop = go(tracer, PTRACE_CONT, false);
	while (stop == STOP_STEP);
	return stop;
}

enum stop tracer_run_or_sleep(struct tracer *tracer)
{
	enum stop stop;

	do
		stop = go(tracer, PTRACE_CONT, true);
	while (stop == STOP_STEP);
	return stop;
}

static void futex(_Atomic int *word, int op, int value, const struct timespec *timeout)
{
	syscall(SYS_futex, word, op, value, timeout, NULL, 0);
}

void helper_post(enum event event)
{
	atomic_store(&shared->event, (int)event);
	atomic_fetch_add(&shared->event_posted, 1);
	futex(&shared->event_posted, FUTEX_WAKE, 1, NULL);
}

/* Until the helper is done with everything posted; false when it is not in time. */
bool helper_wait(int timeout_ms)
{
	int64_t end_ms = clock_ms() + timeout_ms;
	const struct timespec tick = { .tv_nsec = 1000000 };
	int done;

	while ((done = atomic_load(&shared->event_done)) != atomic_load(&shared->event_posted)) {
		if (clock_ms() >= end_ms)
			return false;
		futex(&shared->event_done, FUTEX_WAIT, done, &tick);
	}
	return true;
}

void tracer_kill(struct tracer *tracer)
{
	int status;

	if (tracer->pid <= 0)
		return;
	kill(tracer->pid, SIGKILL);
	while (waitpid(tracer->tid, &status, __WALL) > 0 && WIFSTOPPED(status))
		;
	waitpid(tracer->pid, &status, __WALL);
	*tracer = (struct tracer){ 0 };
}

/* Let a stopped victim go for good. */
void tracer_detach(struct tracer *tracer)
{
	ptrace(PTRACE_DETACH, tracer->tid, 0, 0);
}

/* Fork, wait for the victim thread, seize it, run it to its first mark. */
int tracer_start(struct tracer *tracer, const struct library *library)
{
	*tracer = (struct tracer){ 0 };
	memset(shared, 0, sizeof *shared);
	fflush(stdout);
	tracer->pid = fork();
	if (tracer->pid < 0)
		return -errno;
	if (tracer->pid == 0) {
		victim_process(library);
		_exit(0);
	}
	for (int i = 0; atomic_load(&shared->victim_tid) == 0; i++) {
		const struct timespec tick = { .tv_nsec = 100000 };

		if (i > 100000)
			return -ETIMEDOUT;
		nanosleep(&tick, NULL);
	}
	tracer->tid = atomic_load(&shared->victim_tid);
	if (ptrace(PTRACE_SEIZE, tracer->tid, 0, 0) < 0)
		return -errno;
	atomic_store(&shared->seized, 1);
	futex(&shared->seized, FUTEX_WAKE, 1, NULL);
	tracer->asleep = true; /* it runs already: the next resume would fail */
	return tracer_run(tracer) == STOP_MARK ? 0 : -EIO;
}
