/* SPDX-License-Identifier: MIT */

/*
 * Sockets that the test has opened, adopted: as many as workers, fewer, more, of several addresses,
 * blocking or not, with options that their owner had set; and everything that is none.
 */

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/udp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/fault.h"
#include "lib/ledger.h"
#include "lib/lifetime.h"
#include "lib/listeners.h"
#include "path/listener.h"
#include "server/listeners.h"

static char last_log[512];
static unsigned int n_warnings;

TestSuite(adopt, .init = count_fds, .fini = compare_fds, .timeout = 60);

static void on_log(enum volley_log_level level, const char *text, void *arg)
{
	(void)arg;
	n_warnings += level == VOLLEY_LOG_WARNING;
	strncpy(last_log, text, sizeof last_log - 1);
}

/* One more socket of a group, or its first with port 0. */
static int open_shared(struct volley_addr *addr)
{
	int one = 1;
	socklen_t n = sizeof addr->in6;
	int fd = socket(addr->sa.sa_family, SOCK_DGRAM, 0);

	cr_assert_eq(setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof one), 0);
	cr_assert_eq(bind(fd, &addr->sa, addr->len), 0);
	cr_assert_eq(getsockname(fd, &addr->sa, &n), 0);
	return fd;
}

static struct volley_server *new_server(uint32_t n_workers, uint32_t wait)
{
	struct volley_server *server;

	cr_assert_eq(volley_server_new(
			     VOLLEY_CONFIG(.n_workers = n_workers, .wait = wait, .log = on_log),
			     &server),
		     0);
	return server;
}

static int adopt(struct volley_server *server, const int *fds, uint32_t n)
{
	return volley_server_adopt(server, fds, n, VOLLEY_LISTEN(.on_batch = peer_echo), NULL);
}

static int adopt_with(struct volley_server *server, int fd, uint32_t flags)
{
	return volley_server_adopt(server, &fd, 1,
				   VOLLEY_LISTEN(.on_batch = peer_echo, .flags = flags), NULL);
}

/* From many ports, so that every socket of the group has some. */
static void expect_replies(const struct volley_addr *to)
{
	for (uint8_t tag = 0; tag < 32; tag++) {
		int fd = loopback_open("127.0.0.1:0", NULL);

		cr_assert(peer_ask(fd, to, tag), "client %u", tag);
		close(fd);
	}
}

static void free_server(struct volley_server *server)
{
	cr_assert_eq(volley_server_close(server), 0);
	cr_assert_null(ledger_find_server_fault(server));
	cr_assert_eq(volley_server_free(server), 0);
}

/* n sockets for n_workers, all of which reply. */
static void serve_adopted(uint32_t n, uint32_t n_workers)
{
	struct volley_server *server = new_server(n_workers, VOLLEY_WAIT_EVENT);
	struct volley_addr addr = loopback_addr("127.0.0.1:0");
	int fds[8];

	for (uint32_t i = 0; i < n; i++)
		fds[i] = open_shared(&addr);
	n_warnings = 0;
	cr_assert_eq(adopt(server, fds, n), 1);
	cr_assert_eq(n_warnings, n < n_workers);
	for (uint32_t i = 0; i < n; i++) {
		cr_assert_eq(
			vly_socks_get(&server->workers[i % n_workers].socks, i / n_workers)->fd,
			fds[i]);
		cr_assert(fcntl(fds[i], F_GETFD) & FD_CLOEXEC);
	}
	cr_assert_eq(volley_server_get_listeners(server, NULL, 0), 1);
	cr_assert_eq(volley_server_start(server), 0);
	expect_replies(&addr);
	free_server(server);
}

Test(adopt, one_for_each_worker)
{
	serve_adopted(3, 3);
}

Test(adopt, fewer_than_workers_is_said_once)
{
	serve_adopted(1, 3);
	cr_assert_not_null(strstr(last_log, "sockets for 1 of 3 workers"));
}

Test(adopt, more_than_workers_are_all_read)
{
	serve_adopted(5, 2);
}

Test(adopt, several_addresses_are_several_listeners)
{
	struct volley_server *server = new_server(2, VOLLEY_WAIT_SPIN);
	struct volley_addr addrs[2] = { loopback_addr("127.0.0.1:0"), loopback_addr("[::1]:0") };
	struct volley_listener listeners[3];
	int fds[3];
	int client = loopback_open("[::1]:0", NULL);

	fds[0] = open_shared(&addrs[0]);
	fds[1] = open_shared(&addrs[1]);
	fds[2] = open_shared(&addrs[0]);
	cr_assert_eq(volley_server_adopt(server, fds, 3, VOLLEY_LISTEN(.on_batch = peer_echo),
					 listeners),
		     2);
	cr_assert(volley_addr_is_equal(LISTENER_ADDR(server, 0), &addrs[0]));
	cr_assert_eq(listeners[0].id, listener_at(server, 0).id);
	cr_assert_eq(listeners[1].id, listener_at(server, 1).id);
	cr_assert_eq(vly_socks_get(&server->workers[1].socks, 0)->fd, fds[2]);
	cr_assert_eq(vly_socks_get(&server->workers[0].socks, 1)->fd, fds[1]);
	cr_assert_eq(volley_server_start(server), 0);
	expect_replies(&addrs[0]);
	cr_assert(peer_ask(client, &addrs[1], 9));
	free_server(server);
	close(client);
}

Test(adopt, a_running_server_takes_them_too)
{
	struct volley_server *server = new_server(2, VOLLEY_WAIT_EVENT);
	struct volley_addr addr = loopback_addr("127.0.0.1:0");
	int fd;

	cr_assert_geq(volley_server_listen(server, "127.0.0.1:0",
					   VOLLEY_LISTEN(.on_batch = peer_echo), NULL),
		      0);
	cr_assert_eq(volley_server_start(server), 0);
	fd = open_shared(&addr);
	cr_assert_eq(adopt(server, &fd, 1), 1);
	expect_replies(&addr);
	cr_assert_eq(volley_listener_close(server, listener_at(server, 1)), 0);
	free_server(server);
}

/* Blocking or not is the owner's choice, in every strategy; a worker never spins for it. */
Test(adopt, nonblocking_stays_so_and_sleeps)
{
	for (size_t i = 0; i < PEER_N_WAYS; i++) {
		for (int flag = 0; flag <= O_NONBLOCK; flag += O_NONBLOCK) {
			struct volley_server *server = new_server(1, peer_ways[i].wait);
			struct volley_addr addr = loopback_addr("127.0.0.1:0");
			struct volley_stats stats = { .size = sizeof stats };
			int fd = open_shared(&addr);

			cr_assert_eq(fcntl(fd, F_SETFL, flag), 0);
			cr_assert_eq(adopt(server, &fd, 1), 1);
			cr_assert_eq(volley_server_start(server), 0);
			expect_replies(&addr);
			cr_assert_eq(fcntl(fd, F_GETFL) & O_NONBLOCK, flag);
			cr_assert_eq(volley_server_stop(server), 0);
			cr_assert_eq(volley_server_get_stats(server, &stats), 0);
			if (peer_ways[i].wait != VOLLEY_WAIT_SPIN)
				cr_assert_lt(stats.wakes, 32 * 3 + 5, "it sleeps");
			free_server(server);
		}
	}
}

static int get(int fd, int level, int name)
{
	int value = -1;
	socklen_t n = sizeof value;

	cr_assert_eq(getsockopt(fd, level, name, &value, &n), 0);
	return value;
}

/* What the owner had switched on would not fit, or would never be read. */
Test(adopt, options_become_what_the_config_says)
{
	static const struct {
		int level, name;
	} options[] = { { IPPROTO_IP, IP_PKTINFO },  { IPPROTO_IP, IP_RECVTTL },
			{ IPPROTO_IP, IP_RECVTOS },  { SOL_SOCKET, SO_TIMESTAMP },
			{ SOL_SOCKET, SO_RXQ_OVFL }, { IPPROTO_IP, IP_RECVERR } };
	struct volley_server *server = new_server(1, VOLLEY_WAIT_EVENT);
	struct volley_addr addr = loopback_addr("127.0.0.1:0");
	int fd = open_shared(&addr);
	int client = loopback_open("127.0.0.1:0", NULL);
	int value = 1;
	socklen_t n = sizeof value;

	for (size_t i = 0; i < sizeof options / sizeof options[0]; i++)
		cr_assert_eq(setsockopt(fd, options[i].level, options[i].name, &value, n), 0);
	cr_assert_eq(setsockopt(fd, IPPROTO_UDP, UDP_GRO, &value, n), 0);
	loopback_send(client, &addr, 1, 16); /* queued with all of them on */
	cr_assert_eq(adopt(server, &fd, 1), 1);
	for (size_t i = 0; i < sizeof options / sizeof options[0]; i++)
		cr_assert_eq(get(fd, options[i].level, options[i].name), 0, "option %zu", i);
	cr_assert_eq(get(fd, IPPROTO_UDP, UDP_GRO), 1, "coalesced ones may be in the queue");
	cr_assert_eq(volley_server_start(server), 0);
	cr_assert_eq(loopback_recv(client, (uint8_t[64]){ 0 }, 64, NULL), 16);
	expect_replies(&addr);
	close(client);
	free_server(server);
}

/* Whatever a socket had before, it gets what the config says for each family that it sends. */
Test(adopt, path_mtu_discovery_becomes_what_the_config_says)
{
	static const struct {
		uint32_t how;
		int v4, v6;
	} cases[] = { { VOLLEY_MTU_OMIT, IP_PMTUDISC_OMIT, IPV6_PMTUDISC_WANT },
		      { VOLLEY_MTU_KERNEL, IP_PMTUDISC_WANT, IPV6_PMTUDISC_WANT },
		      { VOLLEY_MTU_DO, IP_PMTUDISC_DO, IPV6_PMTUDISC_DO },
		      { VOLLEY_MTU_PROBE, IP_PMTUDISC_PROBE, IPV6_PMTUDISC_PROBE } };
	int system = socket(AF_INET, SOCK_DGRAM, 0);

	for (size_t i = 0; i < 2 * sizeof cases / sizeof cases[0]; i++) {
		struct volley_server *server = new_server(1, VOLLEY_WAIT_EVENT);
		struct volley_addr addr = loopback_addr("[::1]:0");
		uint32_t how = cases[i / 2].how;
		int fd = open_shared(&addr);
		int other = IP_PMTUDISC_INTERFACE;
		int v4 = how == VOLLEY_MTU_KERNEL ? get(system, IPPROTO_IP, IP_MTU_DISCOVER)
						  : cases[i / 2].v4;
		const struct volley_listen_config *config = VOLLEY_LISTEN(.on_batch = peer_echo,
									  .mtu_discover = how);

		cr_assert_eq(setsockopt(fd, IPPROTO_IP, IP_MTU_DISCOVER, &other, sizeof other), 0);
		cr_assert_eq(setsockopt(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, &other, sizeof other),
			     0);
		if (i % 2 == 0) {
			cr_assert_eq(volley_server_adopt(server, &fd, 1, config, NULL), 1);
		} else {
			close(fd);
			cr_assert_eq(volley_server_listen(server, "[::1]:0", config, NULL), 0);
			fd = vly_listeners_get(server, 0)->fds[0];
		}
		cr_assert_eq(get(fd, IPPROTO_IP, IP_MTU_DISCOVER), v4, "%u", how);
		cr_assert_eq(get(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER), cases[i / 2].v6, "%u", how);
		free_server(server);
	}
	close(system);
}

/* What they are not ---------------------------------------------------------------------------- */

static void expect_refused(struct volley_server *server, int fd, int error, const char *why)
{
	last_log[0] = '\0';
	cr_assert_eq(adopt(server, &fd, 1), error);
	cr_assert_not_null(strstr(last_log, why), "%s", last_log);
	close(fd);
}

Test(adopt, what_is_no_bound_udp_socket_is_refused)
{
	struct volley_server *server = new_server(1, VOLLEY_WAIT_EVENT);
	struct sockaddr_in any = { .sin_family = AF_INET,
				   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int tcp = socket(AF_INET, SOCK_STREAM, 0);
	int udp = socket(AF_INET, SOCK_DGRAM, 0);
	int fds[2];

	cr_assert_eq(bind(tcp, (struct sockaddr *)&any, sizeof any), 0);
	expect_refused(server, tcp, -EPROTOTYPE, "is not a UDP socket");
	expect_refused(server, socket(AF_UNIX, SOCK_DGRAM, 0), -EPROTOTYPE, "is not a UDP socket");
	expect_refused(server, socket(AF_INET, SOCK_DGRAM, 0), -EINVAL, "bind it first");
	cr_assert_eq(bind(udp, (struct sockaddr *)&any, sizeof any), 0);
	shutdown(udp, SHUT_RD); /* ENOTCONN, and yet it is done */
	expect_refused(server, udp, -EINVAL, "was shut down");
	expect_refused(server, open("/dev/null", O_RDONLY), -ENOTSOCK, "is not a socket");
	cr_assert_eq(pipe(fds), 0);
	expect_refused(server, fds[0], -ENOTSOCK, "is not a socket");
	close(fds[1]);
	expect_refused(server, 999, -EBADF, "is not open");
	expect_refused(server, -1, -EBADF, "is not open");
	cr_assert_eq(adopt(server, fds, 0), -EINVAL);
	cr_assert_null(vly_listeners_get(server, 0));
	free_server(server);
}

Test(adopt, each_socket_once)
{
	struct volley_server *server = new_server(2, VOLLEY_WAIT_EVENT);
	struct volley_addr addr = loopback_addr("127.0.0.1:0");
	int fds[2] = { open_shared(&addr) };

	fds[1] = fds[0];
	cr_assert_eq(adopt(server, fds, 2), -EINVAL);
	cr_assert_not_null(strstr(last_log, "are the same socket"));
	fds[1] = dup(fds[0]);
	cr_assert_eq(adopt(server, fds, 2), -EINVAL, "by another number");
	cr_assert_eq(adopt(server, fds, 1), 1);
	cr_assert_eq(adopt(server, &fds[1], 1), -EINVAL);
	cr_assert_not_null(strstr(last_log, "already"));
	free_server(server);
	close(fds[1]);
}

/* All of a call's or none: the second address fails, the first is given back. */
Test(adopt, a_failure_leaves_every_socket_the_callers)
{
	const enum fault_function functions[] = { FAULT_ALIGNED_ALLOC, FAULT_SETSOCKOPT,
						  FAULT_GETSOCKOPT, FAULT_GETSOCKNAME };

	for (size_t i = 0; i < sizeof functions / sizeof functions[0]; i++) {
		unsigned int n_failed = 0;

		for (unsigned int nth = 1;; nth++) {
			struct volley_server *server = new_server(2, VOLLEY_WAIT_EVENT);
			struct volley_addr addrs[2] = { loopback_addr("127.0.0.1:0"),
							loopback_addr("127.0.0.2:0") };
			int fds[2] = { open_shared(&addrs[0]), open_shared(&addrs[1]) };
			int n_fds = loopback_n_fds();
			int r;

			fault_arm(functions[i], nth, ENOMEM);
			r = adopt(server, fds, 2);
			if (fault_disarm() == 0) {
				cr_assert_eq(r, 2);
				free_server(server);
				break;
			}
			if (r < 0) {
				n_failed++;
				cr_assert_eq(loopback_n_fds(), n_fds);
				cr_assert_null(vly_listeners_get(server, 0));
				cr_assert_eq(adopt(server, fds, 2), 2, "and again");
			}
			free_server(server);
		}
		/* Options are what a socket can do without, but those that were asked for. */
		if (functions[i] != FAULT_SETSOCKOPT)
			cr_assert_geq(n_failed, 2, "of function %zu", i);
	}
}

/* Whose they are in the end -------------------------------------------------------------------- */

static int queue_and_close(uint32_t flags, struct volley_stats *ret_stats)
{
	struct volley_server *server = new_server(1, VOLLEY_WAIT_EVENT);
	struct volley_addr addr = loopback_addr("127.0.0.1:0");
	int fd = open_shared(&addr);
	int mine = dup(fd);
	int client = loopback_open("127.0.0.1:0", NULL);

	cr_assert_eq(adopt_with(server, fd, flags), 1);
	cr_assert_eq(volley_server_start(server), 0);
	cr_assert(peer_ask(client, &addr, 1));
	cr_assert_eq(volley_server_drain(server), 0);
	loopback_send(client, &addr, 2, 8);
	cr_assert_eq(volley_server_close(server), 0);
	cr_assert_eq(volley_server_get_stats(server, ret_stats), 0);
	loopback_send(client, &addr, 3, 8);
	cr_assert_eq(volley_server_free(server), 0);
	close(client);
	return mine;
}

Test(adopt, kept_sockets_serve_the_next_one)
{
	struct volley_stats stats = { .size = sizeof stats };
	int fd = queue_and_close(VOLLEY_LISTEN_KEEP_SOCKETS, &stats);
	uint8_t buf[64];

	cr_assert_eq(stats.discarded_at_close + stats.kernel_drops, 0);
	for (uint8_t tag = 2; tag <= 3; tag++) {
		cr_assert_eq(loopback_recv(fd, buf, sizeof buf, NULL), 8);
		cr_assert_eq(buf[0], tag);
	}
	close(fd);
}

/* A close only ends the reading, whatever was queued by then. */
Test(adopt, a_close_leaves_a_kept_socket_its_queue)
{
	struct volley_server *server = new_server(1, VOLLEY_WAIT_FD);
	struct volley_addr addr;
	int fd = loopback_open("127.0.0.1:0", &addr);
	int mine = dup(fd);
	int client = loopback_open("127.0.0.1:0", NULL);
	uint8_t buf[64];

	cr_assert_eq(adopt_with(server, fd, VOLLEY_LISTEN_KEEP_SOCKETS), 1);
	cr_assert_eq(volley_server_start(server), 0);
	for (uint8_t tag = 0; tag < 5; tag++)
		loopback_send(client, &addr, tag, 8);
	cr_assert_eq(volley_listener_close(server, listener_at(server, 0)), 0);
	for (uint8_t tag = 0; tag < 5; tag++) {
		cr_assert_eq(loopback_recv(mine, buf, sizeof buf, NULL), 8);
		cr_assert_eq(buf[0], tag);
	}
	cr_assert_eq(volley_server_free(server), 0);
	close(mine);
	close(client);
}

Test(adopt, others_are_taken_out_of_service)
{
	struct volley_stats stats = { .size = sizeof stats };
	int fd = queue_and_close(0, &stats);

	cr_assert_eq(stats.kernel_drops, 1, "after the drain");
	cr_assert_eq(recv(fd, (uint8_t[64]){ 0 }, 64, MSG_DONTWAIT), -1);
	close(fd);
}

Test(adopt, keep_is_for_adopted_ones)
{
	struct volley_server *server = new_server(1, VOLLEY_WAIT_EVENT);

	cr_assert_eq(volley_server_listen(server, "127.0.0.1:0",
					  VOLLEY_LISTEN(.on_batch = peer_echo,
							.flags = VOLLEY_LISTEN_KEEP_SOCKETS),
					  NULL),
		     -EINVAL);
	free_server(server);
}

Test(adopt, block_needs_a_worker_for_each)
{
	struct volley_server *server = new_server(1, VOLLEY_WAIT_BLOCK);
	struct volley_addr addr = loopback_addr("127.0.0.1:0");
	int fds[2] = { open_shared(&addr), open_shared(&addr) };

	cr_assert_eq(adopt(server, fds, 2), 1);
	cr_assert_eq(volley_server_start(server), -EINVAL);
	free_server(server);
}

/* What others have dropped before us is not in our books. */
Test(adopt, counting_begins_at_the_adoption)
{
	struct volley_server *server = new_server(1, VOLLEY_WAIT_EVENT);
	struct volley_addr addr = loopback_addr("127.0.0.1:0");
	struct volley_stats stats = { .size = sizeof stats };
	int fd = open_shared(&addr);
	int client = loopback_open("127.0.0.1:0", NULL);

	for (int i = 0; i < 2000; i++)
		loopback_send(client, &addr, 1, 1000);
	cr_assert_eq(adopt(server, &fd, 1), 1);
	cr_assert_eq(volley_server_get_stats(server, &stats), 0);
	cr_assert_eq(stats.kernel_drops, 0);
	cr_assert_eq(volley_server_close(server), 0);
	cr_assert_eq(volley_server_get_stats(server, &stats), 0);
	cr_assert_gt(stats.discarded_at_close, 0);
	cr_assert_lt(stats.discarded_at_close, 2000);
	cr_assert_eq(volley_server_free(server), 0);
	close(client);
}

/* It sleeps in one socket and would never look at the other. */
Test(adopt, a_running_block_worker_takes_no_second_socket)
{
	struct volley_server *server = new_server(1, VOLLEY_WAIT_BLOCK);
	struct volley_addr addr = loopback_addr("127.0.0.1:0");
	int fds[2] = { open_shared(&addr), open_shared(&addr) };

	cr_assert_eq(listen_once(server), 0);
	cr_assert_eq(volley_server_start(server), 0);
	cr_assert_eq(volley_listener_close(server, listener_at(server, 0)), 0);
	cr_assert_eq(adopt(server, fds, 2), -EINVAL);
	cr_assert_not_null(strstr(last_log, "more sockets than there are workers"), "%s", last_log);
	close(fds[1]);
	cr_assert_eq(adopt(server, fds, 1), 1, "one it can");
	expect_replies(&addr);
	cr_assert_eq(volley_server_free(server), 0);
}
