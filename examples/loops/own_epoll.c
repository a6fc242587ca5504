/* SPDX-License-Identifier: MIT */

/*
 * A server in a plain epoll loop: one descriptor, one deadline, one call. The loop has a descriptor
 * of its own beside it, for the signals that end the program.
 *
 *	own_epoll [ADDRESS]
 */

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "common.h"

static int open_signals(void)
{
	sigset_t mask;

	sigemptyset(&mask);
	sigaddset(&mask, SIGTERM);
	sigaddset(&mask, SIGINT);
	sigprocmask(SIG_BLOCK, &mask, NULL);
	return signalfd(-1, &mask, SFD_CLOEXEC);
}

static int watch(int epoll_fd, int fd)
{
	return epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd,
			 &(struct epoll_event){ .events = EPOLLIN, .data.fd = fd });
}

/* Until a signal. */
static int serve(struct volley_server *server, int epoll_fd, int signal_fd)
{
	for (;;) {
		int64_t ns = volley_server_get_timeout_ns(server);
		struct epoll_event events[2];
		int n = epoll_wait(epoll_fd, events, 2,
				   ns < 0 ? -1 : (int)((ns + 999999) / 1000000));

		if (n < 0 && errno != EINTR)
			return -errno;
		for (int i = 0; i < n; i++)
			if (events[i].data.fd == signal_fd)
				return 0;
		/* Readable, or the deadline is over: it finds out by itself. */
		if (volley_server_process(server) < 0)
			return 0; /* somebody called volley_server_request_stop() */
	}
}

int main(int argc, char **argv)
{
	struct volley_server *server = common_open(argc, argv,
						   VOLLEY_CONFIG(.wait = VOLLEY_WAIT_FD));
	int epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	int signal_fd = open_signals();
	int r;

	if (server == NULL || epoll_fd < 0 || signal_fd < 0)
		return 1;
	r = volley_server_start(server);
	if (r >= 0 &&
	    (watch(epoll_fd, volley_server_get_fd(server)) < 0 || watch(epoll_fd, signal_fd) < 0))
		r = -errno;
	if (r >= 0) {
		common_announce(server, "own_epoll");
		r = serve(server, epoll_fd, signal_fd);
	}
	volley_server_drain(server); /* what is queued is still replied to */
	close(epoll_fd);
	close(signal_fd);
	return common_close(server) || r < 0;
}
