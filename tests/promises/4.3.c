/* SPDX-License-Identifier: MIT */

/*
 * A socket option that nobody asked for is no reason not to serve, and is warned about by name. One
 * that somebody did ask for is, and the log names it.
 */

#include "promise.h"

#include <netinet/in.h>
#include <netinet/udp.h>

#include "lib/confined.h"

struct trial {
	struct filter_rule rule;
	const char *address;
	uint32_t flags;
	uint32_t mtu_discover;
	enum confined_end end;
};

static const struct trial trials[] = {
	{ { "IP_MTU_DISCOVER", SYS_setsockopt, IPPROTO_IP, IP_MTU_DISCOVER },
	  "127.0.0.1:7777",
	  0,
	  VOLLEY_MTU_OMIT,
	  CONFINED_WORKS },
	{ { "IPV6_MTU_DISCOVER", SYS_setsockopt, IPPROTO_IPV6, IPV6_MTU_DISCOVER },
	  "[::1]:7777",
	  0,
	  VOLLEY_MTU_OMIT,
	  CONFINED_WORKS },
	{ { "IP_MTU_DISCOVER", SYS_setsockopt, IPPROTO_IP, IP_MTU_DISCOVER },
	  "127.0.0.1:7777",
	  0,
	  VOLLEY_MTU_DO,
	  CONFINED_NAMED },
	{ { "SO_RCVBUF", SYS_getsockopt, SOL_SOCKET, SO_RCVBUF },
	  "127.0.0.1:7777",
	  0,
	  VOLLEY_MTU_OMIT,
	  CONFINED_WORKS },
	{ { "SO_REUSEPORT", SYS_setsockopt, SOL_SOCKET, SO_REUSEPORT },
	  "127.0.0.1:7777",
	  0,
	  VOLLEY_MTU_OMIT,
	  CONFINED_WORKS },
	{ { "SO_REUSEPORT", SYS_setsockopt, SOL_SOCKET, SO_REUSEPORT },
	  "127.0.0.1:7777",
	  VOLLEY_LISTEN_SHARE_PORT,
	  VOLLEY_MTU_OMIT,
	  CONFINED_NAMED },
	{ { "IP_PKTINFO", SYS_setsockopt, IPPROTO_IP, IP_PKTINFO },
	  "0.0.0.0:7777",
	  0,
	  VOLLEY_MTU_OMIT,
	  CONFINED_NAMED },
	{ { "IP_RECVERR", SYS_setsockopt, IPPROTO_IP, IP_RECVERR },
	  "127.0.0.1:7777",
	  VOLLEY_LISTEN_REPORT_ERRORS,
	  VOLLEY_MTU_OMIT,
	  CONFINED_NAMED },
};

int main(void)
{
	promise_begin(20);
	for (size_t i = 0; i < sizeof trials / sizeof trials[0]; i++) {
		const struct trial *trial = &trials[i];
		struct volley_config config = { .size = sizeof config, .n_workers = 1 };
		struct volley_listen_config listen = { .size = sizeof listen,
						       .on_batch = confined_echo,
						       .flags = trial->flags,
						       .mtu_discover = trial->mtu_discover };
		enum confined_end end = confined_try(&trial->rule, EOPNOTSUPP, config, &listen,
						     trial->address);

		if (end == CONFINED_NO_FILTER) {
			SKIP(confined_names[end]);
			break;
		}
		if (end != trial->end)
			fprintf(stderr, "without %s a server %s\n", trial->rule.name,
				confined_names[end]);
		CHECK(end == trial->end);
	}
	return check_done();
}
