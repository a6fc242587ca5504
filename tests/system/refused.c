/* SPDX-License-Identifier: MIT */

/*
 * Each system call and each socket option of the table in docs/kernel.md is refused by a filter,
 * one after the other: a server works, idles and ends without it, or there is none and the log says
 * its name. tools/rules/calls.py sees that the table, this list and the code name the same.
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

#define CALL(name)                              \
	{                                       \
		{ #name, SYS_##name, -1, 0 }, 0 \
	}
#define SET(level, name)                                  \
	{                                                 \
		{ #name, SYS_setsockopt, level, name }, 0 \
	}
#define GET(level, name)                                  \
	{                                                 \
		{ #name, SYS_getsockopt, level, name }, 0 \
	}
#define ASK(level, name, flags)                               \
	{                                                     \
		{ #name, SYS_setsockopt, level, name }, flags \
	}

static const struct row {
	struct filter_rule rule;
	uint32_t flags; /* of a listener that asks for it */
} rows[] = {
	CALL(socket),
	CALL(bind),
	CALL(connect),
	CALL(getsockname),
	CALL(recvmmsg),
	CALL(sendmmsg),
	CALL(recvmsg),
	CALL(sendmsg),
	CALL(eventfd2),
	CALL(read),
	CALL(write),
	CALL(epoll_create1),
	CALL(epoll_ctl),
	CALL(epoll_wait),
	CALL(epoll_pwait),
	CALL(pipe2),
	CALL(poll),
	CALL(ppoll),
	CALL(membarrier),
	CALL(clone),
	CALL(clone3),
	CALL(madvise),
	CALL(rt_sigaction),
	CALL(rt_sigprocmask),
	CALL(rt_sigtimedwait),
	CALL(getsockopt),
	CALL(tgkill),
	CALL(gettid),
	CALL(getpid),
	CALL(geteuid),
	CALL(sched_getaffinity),
	CALL(sched_setaffinity),
	CALL(sched_yield),
	CALL(prctl),
	CALL(fcntl),
	SET(IPPROTO_IP, IP_MTU_DISCOVER),
	SET(IPPROTO_IPV6, IPV6_MTU_DISCOVER),
	SET(IPPROTO_IPV6, IPV6_V6ONLY),
	SET(SOL_SOCKET, SO_RCVBUF),
	SET(SOL_SOCKET, SO_RCVBUFFORCE),
	GET(SOL_SOCKET, SO_RCVBUF),
	SET(SOL_SOCKET, SO_SNDBUF),
	SET(SOL_SOCKET, SO_SNDBUFFORCE),
	SET(SOL_SOCKET, SO_REUSEPORT),
	SET(SOL_SOCKET, SO_ATTACH_FILTER),
	SET(SOL_SOCKET, SO_DETACH_FILTER),
	SET(IPPROTO_UDP, UDP_SEGMENT),
	SET(IPPROTO_UDP, UDP_GRO),
	SET(IPPROTO_IP, IP_PKTINFO),
	SET(IPPROTO_IPV6, IPV6_RECVPKTINFO),
	SET(IPPROTO_IP, IP_MULTICAST_ALL),
	SET(IPPROTO_IPV6, IPV6_MULTICAST_ALL),
	GET(SOL_SOCKET, SO_MEMINFO),
	ASK(IPPROTO_IP, IP_RECVERR, VOLLEY_LISTEN_REPORT_ERRORS),
	ASK(IPPROTO_IPV6, IPV6_RECVERR, VOLLEY_LISTEN_REPORT_ERRORS),
	ASK(IPPROTO_IP, IP_RECVTTL, VOLLEY_LISTEN_WANT_TTL),
	ASK(IPPROTO_IPV6, IPV6_RECVHOPLIMIT, VOLLEY_LISTEN_WANT_TTL),
	ASK(IPPROTO_IP, IP_RECVTOS, VOLLEY_LISTEN_WANT_TOS),
	ASK(IPPROTO_IPV6, IPV6_RECVTCLASS, VOLLEY_LISTEN_WANT_TOS),
	ASK(SOL_SOCKET, SO_TIMESTAMPNS, VOLLEY_LISTEN_WANT_TIMESTAMP),
	ASK(SOL_SOCKET, SO_BROADCAST, VOLLEY_LISTEN_BROADCAST),
};

enum { N_ROWS = sizeof rows / sizeof rows[0] };

static const int errors[] = { EPERM, ENOSYS, EACCES, EINVAL };
static const uint32_t waits[] = { VOLLEY_WAIT_EVENT, VOLLEY_WAIT_BLOCK, VOLLEY_WAIT_FD };

enum { N_ERRORS = sizeof errors / sizeof errors[0], N_WAITS = sizeof waits / sizeof waits[0] };

static void try(const struct row *row, int error, uint32_t wait)
{
	struct volley_config config = { .size = sizeof config, .wait = wait };
	struct volley_listen_config listen = { .size = sizeof listen,
					       .on_batch = confined_echo,
					       .flags = row->flags };
	enum confined_end end;

	config.n_workers = wait == VOLLEY_WAIT_FD ? 1 : 2;
	end = confined_try(&row->rule, error, config, &listen, "[::]:7777");
	if (end == CONFINED_NO_FILTER) {
		SKIP(confined_names[end]);
		exit(check_done());
	}
	if (getenv("REFUSED_VERBOSE") != NULL)
		printf("%-20s %-8s %u: %s, %d warnings\n", row->rule.name, volley_error_name(error),
		       wait, confined_names[end], confined_shared->n_warnings);
	if (end != CONFINED_WORKS && end != CONFINED_NAMED)
		fprintf(stderr, "without %s (%s), wait strategy %u, a server %s\n", row->rule.name,
			volley_error_name(error), wait, confined_names[end]);
	CHECK(end == CONFINED_WORKS || end == CONFINED_NAMED);
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
