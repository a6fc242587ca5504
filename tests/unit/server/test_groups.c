/* SPDX-License-Identifier: MIT */

/*
 * Groups that a listener joins, in a network namespace: who hears what, once each, and for how
 * long; test_refusals.c has what is refused. IPv4 by the loopback, IPv6, which has no groups there,
 * by a link that hears itself. A plain program, for Criterion's threads cannot move there.
 */

#include <errno.h>
#include <net/if.h>
#include <sched.h>
#include <time.h>
#include <unistd.h>

#include "groups.h"
#include "lib/giver.h"
#include "lib/loopback.h"
#include "lib/namespace.h"

enum { N_WORKERS = 3, PATIENCE_US = 5000000 };

/* Where clients are, and by which link they send IPv4 groups; 0: here, by the loopback. */
static int far_namespace;

static int open_client(const char *address)
{
	const char *link = far_namespace != 0 ? "w1" : "lo";
	int fd = loopback_open(address, NULL);
	struct ip_mreqn by = { .imr_ifindex = (int)if_nametoindex(link) };

	if (get_addr(address).sa.sa_family == AF_INET) /* IPv6 has scopes */
		REQUIRE(setsockopt(fd, IPPROTO_IP, IP_MULTICAST_IF, &by, sizeof by) == 0);
	return fd;
}

/* One to the port of listener i at host. */
static void send_to(struct volley_server *server, uint32_t i, int fd, const char *host)
{
	char text[VOLLEY_ADDR_TEXT_BYTES];
	struct volley_addr to;

	snprintf(text, sizeof text, "%s:%u", host, volley_addr_get_port(LISTENER_ADDR(server, i)));
	to = get_addr(text);
	loopback_send(fd, &to, 'x', 1);
}

/* What was sent before has arrived, since this did, at the last listener. */
static void settle(struct volley_server *server)
{
	uint32_t i = volley_server_get_listeners(server, NULL, 0) - 1;
	bool is4 = LISTENER_ADDR(server, i)->sa.sa_family == AF_INET;
	int fd = loopback_open(is4 ? "127.0.0.1:0" : "[::1]:0", NULL);

	send_to(server, i, fd, is4 ? "127.0.0.1" : "[::1]");
	CHECK_EQ(loopback_wait(fd), 1);
	close(fd);
}

static void wait_heard(unsigned int n)
{
	time_t end = time(NULL) + 5;

	while (atomic_load(&n_heard) < n && time(NULL) < end)
		sched_yield();
	CHECK_EQ(atomic_load(&n_heard), n);
}

/* From n clients, which a hash would spread over all workers; heard or not. */
static void send_many(struct volley_server *server, const char *from, const char *host,
		      unsigned int n, bool is_heard)
{
	unsigned int n_before = atomic_load(&n_heard);
	int here = namespace_get();

	for (unsigned int i = 0; i < n; i++) {
		int fd;

		if (far_namespace != 0)
			namespace_set(far_namespace);
		fd = open_client(from);
		send_to(server, 0, fd, host);
		close(fd);
		namespace_set(here);
	}
	close(here);
	settle(server);
	wait_heard(n_before + (is_heard ? n : 0));
}

/* Serve all, and have heard exactly so many. */
static void finish(struct volley_server *server, unsigned int n)
{
	struct volley_stats stats = { .size = sizeof stats };

	CHECK_EQ(volley_server_drain(server), 0);
	CHECK_EQ(atomic_load(&n_heard), n);
	CHECK_EQ(volley_server_get_stats(server, &stats), 0);
	CHECK_EQ(stats.rx_datagrams, stats.delivered + stats.rx_dropped[VOLLEY_RX_COPY]);
	CHECK_EQ(volley_server_free(server), 0);
}

/* Before the join nothing is heard, then each once, and nothing after the end of it. */
static void hear(const char *address, const char *from, const char *group, const char *interface)
{
	struct volley_server *server = new_server(N_WORKERS, address);
	char text[VOLLEY_ADDR_TEXT_BYTES];

	fprintf(stderr, "%s hears %s\n", address, group);
	snprintf(text, sizeof text, "%s:0", group);
	listen_at(server, from[0] == '[' ? "[::1]:0" : "127.0.0.1:0", 0);
	REQUIRE(volley_server_start(server) == 0);
	send_many(server, from, group, 1, false);
	CHECK_EQ(join(server, text, NULL, interface), 0);
	CHECK_EQ(join(server, text, NULL, interface), -EADDRINUSE);
	send_many(server, from, group, 8, true);
	CHECK_EQ(leave(server, text, NULL, interface), 0);
	CHECK_EQ(leave(server, text, NULL, interface), -EADDRNOTAVAIL);
	send_many(server, from, group, 1, false);
	finish(server, 8);
}

/* A listener that is bound to a link joins there. */
static void join_by_scope(const char *address, const char *link)
{
	struct volley_server *server = new_server(1, address);

	CHECK_EQ(join(server, "[ff02::7]:0", NULL, NULL), 0);
	CHECK_EQ(leave(server, "[ff02::7]:0", NULL, link), 0);
	CHECK_EQ(volley_server_free(server), 0);
}

/* Another program on this machine hears all, so it is not the link that keeps them away. */
static void hear_source(const char *address, const char *group, const char *const sources[2],
			const char *other, const char *link)
{
	struct volley_server *server = new_server(N_WORKERS, address);
	struct volley_server *beside = new_server(1, address);
	char text[VOLLEY_ADDR_TEXT_BYTES], from[2][64];

	fprintf(stderr, "%s hears %s from %s\n", address, group, sources[0]);
	snprintf(text, sizeof text, "%s:0", group);
	for (int i = 0; i < 2; i++)
		snprintf(from[i], sizeof from[i], "%s:0", sources[i]);
	CHECK_EQ(join(beside, text, NULL, link), 0);
	REQUIRE(volley_server_start(server) == 0);
	CHECK_EQ(leave(server, text, from[0], link), -EADDRNOTAVAIL);
	CHECK_EQ(join(server, text, from[0], link), 0);
	CHECK_EQ(join(server, text, from[0], link), -EADDRINUSE);
	CHECK_EQ(join(server, text, NULL, link), -EADDRINUSE);
	CHECK_EQ(leave(server, text, from[1], link), -EADDRNOTAVAIL);
	send_many(server, from[0], group, 4, true);
	send_many(server, from[1], group, 16, false);
	send_many(server, other, group, 16, false);
	CHECK_EQ(join(server, text, from[1], link), 0);
	CHECK_EQ(leave(server, text, from[0], link), 0);
	send_many(server, from[0], group, 16, false);
	send_many(server, from[1], group, 2, true);
	CHECK_EQ(leave(server, text, NULL, link), 0);
	CHECK_EQ(leave(server, text, from[1], link), -EADDRNOTAVAIL);
	CHECK_EQ(join(server, text, NULL, link), 0);
	CHECK_EQ(join(server, text, from[1], link), 0);
	send_many(server, from[0], group, 16, false);
	send_many(server, from[1], group, 3, true);
	finish(server, 9);
	CHECK_EQ(volley_server_free(beside), 0);
}

/* The memberships are the socket's. */
static void keep(void)
{
	struct volley_server *old = new_server(N_WORKERS, "0.0.0.0:0");
	struct volley_server *server = new_server(2, NULL);
	char text[VOLLEY_ADDR_TEXT_BYTES];
	struct giver giver;
	int fds[2];

	CHECK_EQ(join(old, "239.1.2.3:0", NULL, "lo"), 0);
	for (int i = 0; i < 2; i++) {
		REQUIRE(volley_server_start(old) == 0);
		send_many(old, "127.0.0.1:0", "239.1.2.3", 1, true);
		CHECK_EQ(volley_server_stop(old), 0);
	}
	REQUIRE(volley_server_start(old) == 0);
	REQUIRE(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) == 0);
	giver_start(&giver, old, fds[0], PATIENCE_US, false);
	REQUIRE(volley_server_import_fds(server, fds[1], PATIENCE_US, NULL, NULL) == N_WORKERS);
	volley_addr_format(LISTENER_ADDR(old, 0), text, sizeof text);
	listen_at(server, text, 0);
	REQUIRE(volley_server_start(server) == 0);
	REQUIRE(volley_server_import_commit(server, fds[1], PATIENCE_US) == 0);
	CHECK_EQ(giver_join(&giver), 0);
	CHECK_EQ(volley_server_free(old), 0);
	send_many(server, "127.0.0.1:0", "239.1.2.3", 8, true);
	CHECK_EQ(join(server, "239.1.2.3:0", NULL, "lo"), -EADDRINUSE);
	CHECK_EQ(leave(server, "239.1.2.3:0", NULL, "lo"), 0);
	close(fds[0]);
	close(fds[1]);
	finish(server, 10);
}

static atomic_int inside;

static void join_inside(struct volley_worker *worker, void *arg)
{
	(void)arg;
	atomic_store(&inside, join(volley_worker_get_server(worker), "239.1.2.3:0", NULL, "lo"));
}

static void join_on_a_worker(void)
{
	struct volley_server *server = new_server(1, "0.0.0.0:0");

	atomic_store(&inside, 1);
	REQUIRE(volley_server_start(server) == 0);
	CHECK_EQ(volley_server_post(server, join_inside, NULL), 0);
	settle(server);
	send_many(server, "127.0.0.1:0", "239.1.2.3", 2, true);
	CHECK_EQ(atomic_load(&inside), 0);
	finish(server, 2);
}

/*
 * From another host: what comes over a link is looked up earlier than what the loopback has, and
 * may then be any socket's of the listener.
 */
static void hear_far(void)
{
	static const char *const sources[] = { "10.9.0.2", "10.9.0.3" };
	int here = namespace_get();

	REQUIRE(namespace_enter());
	far_namespace = namespace_get();
	namespace_set(here);
	REQUIRE(namespace_run("ip link add w0 type veth peer name w1 netns /proc/%d/fd/%d",
			      (int)getpid(), far_namespace));
	REQUIRE(namespace_run("ip addr add 10.9.0.1/24 dev w0 && ip link set w0 up"));
	namespace_set(far_namespace);
	REQUIRE(namespace_run("ip link set w1 up"));
	for (int i = 2; i <= 4; i++)
		REQUIRE(namespace_run("ip addr add 10.9.0.%d/24 dev w1", i));
	namespace_set(here);
	hear("0.0.0.0:0", "10.9.0.2:0", "239.1.2.3", "w0");
	hear("[::]:0", "10.9.0.2:0", "239.1.2.3", "w0");
	hear_source("0.0.0.0:0", "239.1.2.3", sources, "10.9.0.4:0", "w0");
	hear_source("[::]:0", "239.1.2.3", sources, "10.9.0.4:0", "w0");
	close(far_namespace);
	close(here);
	far_namespace = 0;
}

static bool add_link(void)
{
	return namespace_run("ip link add d0 index 77 type veth peer name d1") &&
	       namespace_run("ip link set d1 up && ip link set d0 up");
}

/* What the kernel keeps of a link that has gone is in the way of one that gets its index. */
static void lose_link(const char *address, const char *group)
{
	struct volley_server *server = new_server(2, address);

	REQUIRE(add_link());
	CHECK_EQ(join(server, group, NULL, "d0"), 0);
	REQUIRE(namespace_run("ip link del d0"));
	CHECK_EQ(join(server, group, NULL, "d0"), -ENODEV);
	CHECK_EQ(leave(server, group, NULL, "d0"), -ENODEV);
	REQUIRE(add_link());
	CHECK_EQ(join(server, group, NULL, "d0"), -EADDRINUSE);
	CHECK_EQ(leave(server, group, NULL, "d0"), 0);
	CHECK_EQ(join(server, group, NULL, "d0"), 0);
	REQUIRE(namespace_run("ip link del d0"));
	CHECK_EQ(volley_server_free(server), 0);
}

/* Which interface is meant says the routing table, also when a group is left. */
static void leave_by_route(void)
{
	struct volley_server *server = new_server(2, "0.0.0.0:0");

	CHECK_EQ(join(server, "239.1.2.3:0", NULL, "v0"), 0);
	CHECK_EQ(leave(server, "239.1.2.3:0", NULL, NULL), -ENODEV);
	REQUIRE(namespace_run("ip route add 239.1.2.3 dev lo"));
	CHECK_EQ(leave(server, "239.1.2.3:0", NULL, NULL), -EADDRNOTAVAIL);
	REQUIRE(namespace_run("ip route change 239.1.2.3 dev v0"));
	CHECK_EQ(leave(server, "239.1.2.3:0", NULL, NULL), 0);
	REQUIRE(namespace_run("ip route del 239.1.2.3"));
	CHECK_EQ(volley_server_free(server), 0);
}

int main(void)
{
	static const char *const v4[] = { "127.0.0.2", "127.0.0.3" };
	static const char *const v6[] = { "[fd01::1]", "[fd01::2]" };
	int n_fds;

	if (!namespace_enter())
		return 77;
	REQUIRE(namespace_run("ip link add v0 type veth peer name v1"));
	REQUIRE(namespace_run("ip link set v1 up") && namespace_run("ip link set v0 up"));
	for (int i = 1; i <= 3; i++)
		REQUIRE(namespace_run("ip addr add fd01::%d/64 dev v0 nodad", i));
	n_fds = loopback_n_fds();
	hear("0.0.0.0:0", "127.0.0.1:0", "239.1.2.3", "lo");
	hear("239.1.2.3:0", "127.0.0.1:0", "239.1.2.3", "lo");
	hear("[::]:0", "127.0.0.1:0", "239.1.2.3", "lo");
	hear("[::]:0", "[fd01::1]:0", "[ff02::7%v0]", "v0");
	hear("[::]:0", "[fd01::1]:0", "[ff02::7%v0]", NULL);
	hear("[::]:0", "[fd01::1]:0", "[ff01::7%v0]", "");
	hear("[ff02::7%v0]:0", "[fd01::1]:0", "[ff02::7%v0]", NULL);
	join_by_scope("[ff02::7%v0]:0", "v0");
	join_by_scope("[ff02::7%v1]:0", "v1");
	hear_source("0.0.0.0:0", "239.1.2.3", v4, "127.0.0.1:0", "lo");
	hear_source("[::]:0", "239.1.2.3", v4, "127.0.0.1:0", "lo");
	hear_source("[::]:0", "[ff05::7%v0]", v6, "[fd01::3]:0", "v0");
	leave_by_route();
	lose_link("0.0.0.0:0", "239.1.2.3:0");
	lose_link("[::]:0", "[ff02::7]:0");
	hear_far();
	keep();
	join_on_a_worker();
	CHECK_EQ(loopback_n_fds(), n_fds);
	return check_done();
}
