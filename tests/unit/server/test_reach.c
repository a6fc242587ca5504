/* SPDX-License-Identifier: MIT */

/*
 * Whom a listener hears, and by how many sockets: one interface, what is diverted to it, one socket
 * for all workers. In a network namespace, as root of it.
 */

#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "groups.h"
#include "lib/giver.h"
#include "lib/loopback.h"
#include "lib/namespace.h"
#include "lib/peer.h"

enum { TIMEOUT_US = 10 * 1000 * 1000 };

static int listen_on(struct volley_server *server, const char *address, uint32_t flags,
		     const char *device, struct volley_listener *ret_listener)
{
	return volley_server_listen(
		server, address,
		VOLLEY_LISTEN(.on_batch = peer_echo, .flags = flags, .bind_device = device),
		ret_listener);
}

static void expect_device(struct volley_server *server, struct volley_listener listener,
			  const char *expected)
{
	char name[IF_NAMESIZE] = "";
	socklen_t n = sizeof name;
	int fd = volley_listener_get_fd(server, listener, 0);

	CHECK_EQ(getsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, name, &n), 0);
	CHECK(strcmp(name, expected) == 0);
}

/* One interface ------------------------------------------------------------------------------- */

static void listen_on_devices(void)
{
	struct volley_server *server = new_server(2, NULL);
	struct volley_listener on_lo, on_link, anywhere;
	struct volley_addr to = loopback_addr("127.0.0.1:7100");
	int fd = loopback_open("127.0.0.1:0", NULL);
	struct volley_stats stats = { .size = sizeof stats };

	CHECK_EQ(listen_on(server, "0.0.0.0:7100", 0, "nosuch", NULL), -ENODEV);
	CHECK(strstr(last_log, "bind_device \"nosuch\"") != NULL);
	CHECK_EQ(listen_on(server, "0.0.0.0:7100", 0, "lo", &on_lo), 0);
	CHECK_EQ(listen_on(server, "0.0.0.0:7100", 0, "lo", NULL), -EADDRINUSE);
	CHECK_EQ(listen_on(server, "0.0.0.0:7100", 0, "d0", &on_link), 0);
	CHECK_EQ(listen_on(server, "0.0.0.0:7100", 0, "", &anywhere), 0);
	expect_device(server, on_lo, "lo");
	expect_device(server, on_link, "d0");
	expect_device(server, anywhere, "");
	CHECK_EQ(volley_listener_close(server, anywhere), 0);
	CHECK_EQ(volley_server_start(server), 0);
	CHECK(peer_ask(fd, &to, 1));
	CHECK_EQ(volley_server_stop(server), 0);
	CHECK_EQ(volley_listener_get_stats(server, on_link, &stats), 0);
	CHECK_EQ(stats.delivered, 0);
	CHECK_EQ(volley_listener_get_stats(server, on_lo, &stats), 0);
	CHECK_EQ(stats.delivered, 1);
	CHECK_EQ(volley_server_free(server), 0);
	close(fd);
}

/* A link-local address names its interface already. */
static void listen_on_a_scope(void)
{
	struct volley_server *server = new_server(1, NULL);

	CHECK_EQ(listen_on(server, "[fe80::7%d0]:7100", 0, "d0", NULL), 0);
	CHECK_EQ(listen_on(server, "[fe80::7%d0]:7100", 0, NULL, NULL), -EADDRINUSE);
	CHECK_EQ(volley_server_free(server), 0);
}

/* The next process gets each socket by the interface that it asks for. */
static void hand_devices_over(void)
{
	struct volley_server *old = new_server(2, NULL), *new = new_server(3, NULL);
	struct volley_listener listeners[4];
	struct giver giver;
	int fds[2];

	REQUIRE(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) == 0);
	CHECK_EQ(listen_on(old, "0.0.0.0:7100", 0, "lo", NULL), 0);
	CHECK_EQ(listen_on(old, "0.0.0.0:7100", VOLLEY_LISTEN_ONE_SOCKET, "d0", NULL), 0);
	CHECK_EQ(listen_on(old, "[fe80::7%d0]:7100", 0, NULL, NULL), 0);
	CHECK_EQ(listen_on(old, "192.0.2.1:7200", VOLLEY_LISTEN_TRANSPARENT, NULL, NULL), 0);
	CHECK_EQ(volley_server_start(old), 0);
	giver_start(&giver, old, fds[0], TIMEOUT_US, true);
	CHECK_EQ(volley_server_import_fds(new, fds[1], TIMEOUT_US, NULL, NULL), 2 + 1 + 2 + 2);
	CHECK_EQ(listen_on(new, "0.0.0.0:7100", VOLLEY_LISTEN_ONE_SOCKET, "d0", &listeners[0]), 0);
	CHECK_EQ(listen_on(new, "0.0.0.0:7100", 0, "lo", &listeners[1]), 0);
	CHECK_EQ(listen_on(new, "[fe80::7%d0]:7100", 0, "d0", &listeners[2]), 0);
	CHECK_EQ(listen_on(new, "192.0.2.1:7200", VOLLEY_LISTEN_TRANSPARENT, NULL, &listeners[3]),
		 0);
	CHECK_EQ(volley_server_start(new), 0);
	CHECK_EQ(volley_server_import_commit(new, fds[1], TIMEOUT_US), 0);
	CHECK_EQ(giver_join(&giver), 0);
	expect_device(new, listeners[0], "d0");
	expect_device(new, listeners[1], "lo");
	CHECK_EQ(volley_listener_get_fd(new, listeners[0], 1), -ENOENT);
	CHECK(volley_listener_get_fd(new, listeners[1], 1) >= 0);
	CHECK_EQ(volley_server_free(new), 0);
	CHECK_EQ(volley_server_free(old), 0);
	close(fds[1]);
}

/* What is diverted ---------------------------------------------------------------------------- */

static struct volley_addr destination;

static void see(struct volley_worker *worker, struct volley_packet *packet, void *arg)
{
	(void)worker, (void)arg;
	CHECK_EQ(volley_packet_get_destination(packet, &destination), 0);
	volley_packet_reply(packet, packet->data, packet->len);
}

/* Addresses that are nobody's are the machine's here, by a route. */
static void hear_any_address(const char *address, const char *any, const char *to_text)
{
	struct volley_server *server = new_server(2, NULL);
	struct volley_listener listener;
	struct volley_addr bound, to = loopback_addr(to_text);
	int fd = loopback_open(any, NULL);

	REQUIRE(volley_server_listen(
			server, address,
			VOLLEY_LISTEN(.on_packet = see, .flags = VOLLEY_LISTEN_TRANSPARENT),
			&listener) == 0);
	CHECK_EQ(volley_listener_get_addr(server, listener, &bound), 0);
	to.in.sin_port = bound.in.sin_port;
	CHECK_EQ(volley_server_start(server), 0);
	REQUIRE(connect(fd, &to.sa, to.len) == 0); /* it takes replies from there only */
	CHECK(peer_ask(fd, &to, 1));
	CHECK_EQ(volley_server_free(server), 0);
	volley_addr_unmap(&destination, &destination);
	CHECK(volley_addr_is_equal(&destination, &to));
	close(fd);
}

static void bind_any_address(void)
{
	struct volley_server *server = new_server(2, NULL);

	CHECK_EQ(listen_on(server, "192.0.2.1:7300", 0, NULL, NULL), -EADDRNOTAVAIL);
	CHECK_EQ(listen_on(server, "192.0.2.1:7300", VOLLEY_LISTEN_TRANSPARENT, NULL, NULL), 0);
	CHECK_EQ(listen_on(server, "[2001:db8:1::1]:7300", VOLLEY_LISTEN_TRANSPARENT, NULL, NULL),
		 0);
	CHECK_EQ(volley_server_free(server), 0);
}

static void bind_without_a_right(void)
{
	struct volley_server *server = new_server(1, NULL);

	if (seteuid(65534) < 0) {
		SKIP("no other user to be");
	} else {
		CHECK_EQ(listen_on(server, "127.0.0.1:0", VOLLEY_LISTEN_TRANSPARENT, NULL, NULL),
			 -EPERM);
		CHECK(strstr(all_log, "CAP_NET_ADMIN or CAP_NET_RAW") != NULL);
		REQUIRE(seteuid(0) == 0);
	}
	CHECK_EQ(volley_server_free(server), 0);
}

/* One socket ---------------------------------------------------------------------------------- */

static void share_out(void)
{
	enum { N_WORKERS = 3, N_EACH = 4 };
	struct volley_server *server = new_server(N_WORKERS, NULL);
	int fd = loopback_open("127.0.0.1:0", NULL);

	CHECK_EQ(volley_server_start(server), -ENOTCONN);
	for (int i = 0; i < N_WORKERS * N_EACH; i++) {
		struct volley_listener listener;

		CHECK_EQ(
			listen_on(server, "127.0.0.1:0", VOLLEY_LISTEN_ONE_SOCKET, NULL, &listener),
			0);
		CHECK(volley_listener_get_fd(server, listener, 0) >= 0);
		CHECK_EQ(volley_listener_get_fd(server, listener, 1), -ENOENT);
		if (i == 0)
			CHECK_EQ(volley_server_start(server), 0);
	}
	for (uint32_t i = 0; i < N_WORKERS * N_EACH; i++) {
		struct volley_addr to = listener_addr(server, i);

		CHECK(peer_ask(fd, &to, (uint8_t)i));
		CHECK_EQ(volley_server_send(server, listener_at(server, i), &to, "", 0, NULL),
			 -EINVAL);
	}
	CHECK_EQ(volley_server_stop(server), 0);
	for (uint32_t i = 0; i < N_WORKERS; i++) {
		struct volley_stats stats = { .size = sizeof stats };

		CHECK_EQ(volley_server_get_worker_stats(server, i, &stats), 0);
		CHECK_EQ(stats.delivered, N_EACH);
	}
	CHECK_EQ(volley_server_free(server), 0);
	close(fd);
}

int main(void)
{
	if (!namespace_enter()) {
		SKIP("no network namespace of our own");
		return check_done();
	}
	REQUIRE(namespace_run("ip link add d0 type veth peer name d1 && ip link set d0 up && "
			      "ip link set d1 up && ip address add fe80::7/64 dev d0 nodad"));
	REQUIRE(namespace_run("ip route add local 198.51.100.0/24 dev lo && "
			      "ip -6 route add local 2001:db8::/64 dev lo"));
	listen_on_devices();
	listen_on_a_scope();
	hand_devices_over();
	hear_any_address("0.0.0.0:0", "127.0.0.1:0", "198.51.100.7:1");
	hear_any_address("[::]:0", "127.0.0.1:0", "198.51.100.7:1");
	hear_any_address("[::]:0", "[::1]:0", "[2001:db8::7]:1");
	bind_any_address();
	bind_without_a_right();
	share_out();
	return check_done();
}
