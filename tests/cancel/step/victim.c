/* SPDX-License-Identifier: MIT */

/*
 * The process that is stepped: a victim thread that makes one call per case between two marks
 * (int3), and a helper thread that does what the tracer asks for.
 */

#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <volley/mmsg.h>

#include "step.h"

struct shared *shared;
static const struct library *library;

/* The first fault of a case is the one that explains it. */
void victim_fault(const char *format, ...)
{
	va_list args;

	if (shared->fault[0] != 0)
		return;
	va_start(args, format);
	vsnprintf(shared->fault, sizeof shared->fault, format, args);
	va_end(args);
}

static void mark(enum phase phase)
{
	atomic_store(&shared->phase, (int)phase);
	__asm__ volatile("int3" ::: "memory");
}

/* The unrelated signal. A blocking one makes a cancellable call in which only a request helps. */
static void on_signal(int signo)
{
	int saved = errno;
	char byte;

	(void)signo;
	atomic_fetch_add(&shared->n_signals, 1);
	shared->in_handler = true;
	if (shared->handler == HANDLER_BLOCKS) {
		ssize_t r = volley_read(wires.silent[0], &byte, 1);

		if (r != -ECANCELED)
			victim_fault("read in a handler: %zd", r);
	}
	shared->in_handler = false;
	errno = saved;
}

static void install_handlers(void)
{
	struct sigaction action = { .sa_handler = on_signal, .sa_flags = SA_RESTART };

	sigaction(SIGUSR1, &action, NULL);
	sigaction(SIGPWR, &action, NULL);
}

static void unwound(void *arg)
{
	(void)arg;
	shared->cancelled = true;
	if (shared->in_handler)
		victim_fault("unwound out of a signal handler");
	mark(PHASE_GONE);
}

static void *victim_main(void *arg)
{
	const struct op *op;

	(void)arg;
	atomic_store(&shared->victim_tid, (int)syscall(SYS_gettid));
	while (atomic_load(&shared->seized) == 0)
		syscall(SYS_futex, &shared->seized, FUTEX_WAIT, 0, NULL, NULL, 0);
	library->attach();
	pthread_cleanup_push(unwound, NULL);
	for (;;) {
		mark(PHASE_READY);
		op = &library->ops[shared->op];
		library->before(op);
		mark(PHASE_BEGIN);
		shared->result = op->call();
		mark(PHASE_END);
		library->after(op);
	}
	pthread_cleanup_pop(0);
	return NULL;
}

static int do_event(enum event event)
{
	switch (event) {
	case EVENT_REQUEST:
		return library->request();
	case EVENT_SIGNAL:
		return (int)syscall(SYS_tgkill, getpid(), atomic_load(&shared->victim_tid),
				    shared->handler == HANDLER_LATE ? SIGPWR : SIGUSR1);
	default:
		return helper_event(event);
	}
}

/* Runs on the main thread: the helper. */
void victim_process(const struct library *stepped)
{
	pthread_t thread;
	int n_done = 0;

	library = stepped;
	install_handlers();
	atomic_store(&shared->helper_tid, (int)syscall(SYS_gettid));
	if (!stepped->single_use)
		helper_event(EVENT_ATTACH);
	if (pthread_create(&thread, NULL, victim_main, NULL) != 0)
		return;
	for (;;) {
		while (atomic_load(&shared->event_posted) == n_done)
			syscall(SYS_futex, &shared->event_posted, FUTEX_WAIT, n_done, NULL, NULL,
				0);
		if (atomic_load(&shared->event) == EVENT_QUIT)
			return;
		atomic_store(&shared->event_result,
			     do_event((enum event)atomic_load(&shared->event)));
		atomic_store(&shared->event_done, ++n_done);
		syscall(SYS_futex, &shared->event_done, FUTEX_WAKE, 1, NULL, NULL, 0);
	}
}
