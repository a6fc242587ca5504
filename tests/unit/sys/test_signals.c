/* SPDX-License-Identifier: MIT */

/* Signals from a descriptor, and a mask that is what it was afterwards. */

#include <criterion/criterion.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>

#include "lib/fault.h"
#include "lib/loopback.h"
#include "sys/signals.h"

static bool is_blocked(int signo)
{
	sigset_t mask;

	pthread_sigmask(SIG_BLOCK, NULL, &mask);
	return sigismember(&mask, signo) == 1;
}

Test(signals, those_asked_for_come_from_the_descriptor)
{
	static const int all[] = { SIGTERM, SIGINT, SIGHUP, SIGUSR2 };
	struct vly_signals signals;
	struct pollfd fd = { .events = POLLIN };
	int n_fds = loopback_n_fds();

	cr_assert_eq(vly_signals_open(&signals, UINT64_C(1) << SIGHUP | UINT64_C(1) << SIGUSR2), 0);
	fd.fd = signals.fd;
	cr_assert_eq(vly_signals_take(&signals), 0, "there is none, and it does not sleep");
	cr_assert_not(is_blocked(SIGUSR1), "nobody asked for it");
	for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
		cr_assert(is_blocked(all[i]));
		cr_assert_eq(raise(all[i]), 0);
		cr_assert_eq(poll(&fd, 1, 0), 1);
		cr_assert_eq(vly_signals_take(&signals), all[i]);
		cr_assert_eq(vly_signals_take(&signals), 0);
	}
	vly_signals_close(&signals);
	for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
		cr_assert_not(is_blocked(all[i]));
	cr_assert_eq(loopback_n_fds(), n_fds);
}

Test(signals, what_was_blocked_before_stays_blocked)
{
	struct vly_signals signals;
	sigset_t mine;

	sigemptyset(&mine);
	sigaddset(&mine, SIGINT);
	sigaddset(&mine, SIGUSR1);
	pthread_sigmask(SIG_SETMASK, &mine, NULL);
	cr_assert_eq(vly_signals_open(&signals, 0), 0);
	cr_assert(is_blocked(SIGUSR1));
	cr_assert_eq(raise(SIGUSR1), 0);
	cr_assert_eq(vly_signals_take(&signals), 0, "it is the program's own");
	vly_signals_close(&signals);
	cr_assert(is_blocked(SIGINT));
	cr_assert(is_blocked(SIGUSR1));
	cr_assert_not(is_blocked(SIGTERM));
}

Test(signals, without_a_descriptor_nothing_is_blocked)
{
	struct vly_signals signals;

	fault_arm(FAULT_SIGNALFD, 1, EMFILE);
	cr_assert_eq(vly_signals_open(&signals, UINT64_C(1) << SIGHUP), -EMFILE);
	cr_assert_eq(fault_disarm(), 1);
	cr_assert_not(is_blocked(SIGTERM));
	cr_assert_not(is_blocked(SIGHUP));
}
