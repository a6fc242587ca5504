/* SPDX-License-Identifier: MIT */
#ifndef TESTS_PROMISES_PROMISE_H
#define TESTS_PROMISES_PROMISE_H

/*
 * What the programs in this folder share. Each shows one promise from outside: it knows nothing but
 * the public headers, so it can be built against any installed volley (tools/promises REV).
 *
 *	int main(void)
 *	{
 *		promise_begin(5);
 *		...
 *		return check_done();
 *	}
 *
 * Exit 0: it holds; 1: it does not, or it took too long; 77: it cannot be tried here.
 */

#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "lib/check.h"
#include "lib/namespace.h"

static inline void promise_give_up(int signo)
{
	static const char text[] = "failed: not done in the time that was given\n"
				   "0 passed, 1 failed\n";
	ssize_t n = write(STDERR_FILENO, text, sizeof text - 1);

	(void)signo;
	(void)n;
	_exit(EXIT_FAILURE);
}

/* The whole program has so many seconds. A promise without a bound is none. */
static inline void promise_set_deadline(unsigned int seconds)
{
	struct sigaction action = { .sa_handler = promise_give_up };

	sigaction(SIGALRM, &action, NULL);
	alarm(seconds);
}

/* A deadline, and a network of our own; to be called before any thread is started. */
static inline void promise_begin(unsigned int seconds)
{
	promise_set_deadline(seconds);
	if (!namespace_enter())
		exit(77);
}

#endif
