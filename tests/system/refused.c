/* SPDX-License-Identifier: MIT */

/*
 * Each system call and each socket option of the table in docs/kernel.md that a start and an end
 * meet is refused by a filter, one after the other: a server works, idles and ends without it, or
 * there is none and the log says its name, whichever the table says. tools/rules/calls.py sees that
 * the table, this list and the code name the same, and says what else is not tried, and why.
 *
 *	refused [--long]        with every errno and wait strategy instead of one each
 */

#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/check.h"
#include "lib/confined.h"
#include "lib/namespace.h"

/* The wait strategies with which a server cannot be without it, one bit each. */
enum {
	NEVER = 0, /* it works without */
	EVENT = 1 << VOLLEY_WAIT_EVENT,
	BLOCK = 1 << VOLLEY_WAIT_BLOCK,
	FD = 1 << VOLLEY_WAIT_FD,
	EPOLL = EVENT | FD,
	THREADS = EVENT | BLOCK,
	ALWAYS = EVENT | BLOCK | FD,
	LIBRARY = 1 << 30, /* and where it works all the same, a library has found another way */
};

#define CALL(name, none)                                     \
	{                                                    \
		{ #name, SYS_##name, -1, 0 }, 0, none, false \
	}
#define COUNT(name)                                          \
	{                                                    \
		{ #name, SYS_##name, -1, 0 }, 0, NEVER, true \
	}
#define SET(level, name, none)                                         \
	{                                                              \
		{ #name, SYS_setsockopt, level, name }, 0, none, false \
	}
#define GET(level, name)                                                \
	{                                                               \
		{ #name, SYS_getsockopt, level, name }, 0, NEVER, false \
	}
#define ASK(level, name, flags)                                              \
	{                                                                    \
		{ #name, SYS_setsockopt, level, name }, flags, ALWAYS, false \
	}
#define STEER(name, steer)                                                           \
	{                                                                            \
		{ #name, SYS_setsockopt, SOL_SOCKET, name }, 0, ALWAYS, false, steer \
	}

static const struct row {
	struct filter_rule rule;
	uint32_t flags; /* of a listener that asks for it */
	int none;       /* what the table says under "refused", for "[::]" and two workers */
	bool is_free;   /* the server chooses how many workers it has, and pins them */
	uint32_t steer; /* of a listener, too */
} rows[] = {
	CALL(socket, ALWAYS),
	CALL(bind, ALWAYS),
	CALL(connect, NEVER),
	CALL(getsockname, ALWAYS),
	CALL(recvmmsg, NEVER),
	CALL(sendmmsg, NEVER),
	CALL(recvmsg, NEVER),
	CALL(sendmsg, NEVER),
	CALL(eventfd2, ALWAYS),
	CALL(read, ALWAYS),
	CALL(write, ALWAYS),
	CALL(epoll_create1, EPOLL),
	CALL(epoll_ctl, EPOLL),
	CALL(epoll_wait, EPOLL),
	CALL(epoll_pwait, EPOLL | LIBRARY),
	CALL(pipe2, EVENT),
	CALL(poll, ALWAYS),
	CALL(ppoll, ALWAYS),
	CALL(membarrier, NEVER),
	CALL(clone, THREADS | LIBRARY),
	CALL(clone3, THREADS | LIBRARY),
	CALL(madvise, NEVER),
	CALL(rt_sigaction, THREADS),
	CALL(rt_sigprocmask, NEVER),
	CALL(rt_sigtimedwait, NEVER),
	CALL(getsockopt, NEVER),
	CALL(tgkill, THREADS),
	CALL(gettid, THREADS),
	CALL(getpid, THREADS),
	CALL(geteuid, NEVER),
	COUNT(openat),
	COUNT(sched_getaffinity),
	CALL(sched_yield, NEVER),
	COUNT(sched_setaffinity),
	CALL(prctl, NEVER),
	CALL(fcntl, THREADS),
	SET(IPPROTO_IP, IP_MTU_DISCOVER, NEVER),
	SET(IPPROTO_IPV6, IPV6_MTU_DISCOVER, NEVER),
	SET(IPPROTO_IPV6, IPV6_V6ONLY, ALWAYS),
	SET(SOL_SOCKET, SO_RCVBUF, NEVER),
	SET(SOL_SOCKET, SO_RCVBUFFORCE, NEVER),
	GET(SOL_SOCKET, SO_RCVBUF),
	SET(SOL_SOCKET, SO_SNDBUF, NEVER),
	SET(SOL_SOCKET, SO_SNDBUFFORCE, NEVER),
	SET(SOL_SOCKET, SO_REUSEPORT, THREADS),
	SET(SOL_SOCKET, SO_ATTACH_FILTER, NEVER),
	SET(SOL_SOCKET, SO_DETACH_FILTER, NEVER),
	SET(IPPROTO_UDP, UDP_SEGMENT, NEVER),
	SET(IPPROTO_UDP, UDP_GRO, NEVER),
	SET(IPPROTO_IP, IP_PKTINFO, ALWAYS),
	SET(IPPROTO_IPV6, IPV6_RECVPKTINFO, ALWAYS),
	SET(IPPROTO_IP, IP_MULTICAST_ALL, NEVER),
	SET(IPPROTO_IPV6, IPV6_MULTICAST_ALL, NEVER),
	GET(SOL_SOCKET, SO_MEMINFO),
	ASK(IPPROTO_IP, IP_RECVERR, VOLLEY_LISTEN_REPORT_ERRORS),
	ASK(IPPROTO_IPV6, IPV6_RECVERR, VOLLEY_LISTEN_REPORT_ERRORS),
	ASK(IPPROTO_IP, IP_RECVTTL, VOLLEY_LISTEN_WANT_TTL),
	ASK(IPPROTO_IPV6, IPV6_RECVHOPLIMIT, VOLLEY_LISTEN_WANT_TTL),
	ASK(IPPROTO_IP, IP_RECVTOS, VOLLEY_LISTEN_WANT_TOS),
	ASK(IPPROTO_IPV6, IPV6_RECVTCLASS, VOLLEY_LISTEN_WANT_TOS),
	ASK(SOL_SOCKET, SO_TIMESTAMPNS, VOLLEY_LISTEN_WANT_TIMESTAMP),
	ASK(SOL_SOCKET, SO_BROADCAST, VOLLEY_LISTEN_BROADCAST),
	STEER(SO_ATTACH_REUSEPORT_CBPF, VOLLEY_STEER_CPU),
};

enum { N_ROWS = sizeof rows / sizeof rows[0] };

static const int errors[] = { EPERM, ENOSYS, EACCES, EINVAL };
static const uint32_t waits[] = { VOLLEY_WAIT_EVENT, VOLLEY_WAIT_BLOCK, VOLLEY_WAIT_FD };

enum { N_ERRORS = sizeof errors / sizeof errors[0], N_WAITS = sizeof waits / sizeof waits[0] };

static bool is_expected(const struct row *row, uint32_t wait, enum confined_end end)
{
	bool is_needed = row->none & 1 << wait;

	if (end == CONFINED_WORKS)
		return !is_needed || row->none & LIBRARY;
	return end == CONFINED_NAMED && is_needed;
}

static void try(const struct row *row, int error, uint32_t wait)
{
	struct volley_config config = { .size = sizeof config, .wait = wait };
	struct volley_listen_config listen = { .size = sizeof listen,
					       .on_batch = confined_echo,
					       .flags = row->flags,
					       .steer = row->steer };
	enum confined_end end;

	if (!row->is_free)
		config.n_workers = wait == VOLLEY_WAIT_FD ? 1 : 2;
	else if (wait != VOLLEY_WAIT_FD)
		config.flags = VOLLEY_SERVER_PIN;
	end = confined_try(&row->rule, error, config, &listen, "[::]:7777");
	if (end == CONFINED_NO_FILTER) {
		SKIP(confined_names[end]);
		exit(check_done());
	}
	if (getenv("REFUSED_VERBOSE") != NULL)
		printf("%-20s %-8s %u: %s, %d warnings\n", row->rule.name, volley_error_name(error),
		       wait, confined_names[end], confined_shared->n_warnings);
	if (!is_expected(row, wait, end))
		fprintf(stderr, "without %s (%s), wait strategy %u, a server %s\n", row->rule.name,
			volley_error_name(error), wait, confined_names[end]);
	CHECK(is_expected(row, wait, end));
	CHECK(confined_shared->n_warnings <= 1);
}

int main(int argc, char **argv)
{
	bool is_long = argc > 1 && strcmp(argv[1], "--long") == 0;

	if (!namespace_enter())
		return 77;
	for (size_t i = 0; i < N_ROWS; i++) {
		for (size_t k = 0; k < (is_long ? N_ERRORS * N_WAITS : 1); k++)
			try(&rows[i], errors[(i + k) % N_ERRORS], waits[(i + k) % N_WAITS]);
	}
	return check_done();
}
