/* SPDX-License-Identifier: MIT */

/* signalfd. */

#include "sys/signals.h"

#include <errno.h>
#include <sys/signalfd.h>

#include "sys/raw.h"

int vly_signals_open(struct vly_signals *signals, uint64_t bits)
{
	sigset_t mask;

	sigemptyset(&mask);
	sigaddset(&mask, SIGTERM);
	sigaddset(&mask, SIGINT);
	for (int signo = 1; signo < 64; signo++)
		if (bits >> signo & 1)
			sigaddset(&mask, signo);
	pthread_sigmask(SIG_BLOCK, &mask, &signals->old);
	signals->fd = signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
	if (signals->fd < 0) {
		int r = -errno;

		pthread_sigmask(SIG_SETMASK, &signals->old, NULL);
		return r;
	}
	return 0;
}

int vly_signals_take(struct vly_signals *signals)
{
	struct signalfd_siginfo info;

	if (vly_raw_read(signals->fd, &info, sizeof info) != (int)sizeof info)
		return 0;
	return (int)info.ssi_signo;
}

void vly_signals_close(struct vly_signals *signals)
{
	vly_raw_close(signals->fd);
	pthread_sigmask(SIG_SETMASK, &signals->old, NULL);
}
