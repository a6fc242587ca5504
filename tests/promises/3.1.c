/* SPDX-License-Identifier: MIT */

/*
 * What is sent to many is served once for each listener, however many sockets it has: subnet
 * broadcasts and that to all, the link's own groups of both families. Also with sockets that were
 * adopted, and after a hot restart to another number of workers. The copies are in the books.
 */

#include <stdatomic.h>

#include <volley/volley.h>

#include "lib/giver.h"
#include "lib/listeners.h"
#include "links.h"

enum { N_WORKERS = 4, PATIENCE_US = 5000000 };

static atomic_uint n_calls;

static void echo(struct volley_worker *worker, struct volley_packet *packets, size_t n, void *arg)
{
	(void)worker;
	(void)arg;
	atomic_fetch_add(&n_calls, (unsigned int)n);
	for (size_t i = 0; i < n; i++)
		volley_packet_reply(&packets[i], packets[i].data, packets[i].len);
}

static struct volley_server *new_server(uint32_t n_workers)
{
	struct volley_server *server;

	REQUIRE(volley_server_new(VOLLEY_CONFIG(.n_workers = n_workers), &server) == 0);
	return server;
}

static uint64_t get_copies(struct volley_server *server)
{
	static char text[1 << 17];
	const char *at;

	REQUIRE(volley_server_format_stats(server, text, sizeof text) > 0);
	at = strstr(text, "\"copy\": ");
	return at != NULL ? strtoull(at + 8, NULL, 10) : 0;
}

/* One datagram to host, one reply, and one delivery, when everything was served. */
static void ask_once(int client, const char *host, uint16_t port)
{
	char byte = 'x';

	fprintf(stderr, "%s\n", host);
	atomic_store(&n_calls, 0);
	links_send(client, host, port, &byte, 1);
	CHECK_EQ(links_recv(client, &byte, 1, NULL, 2000), 1);
}

/* Drain, so that nothing can come any more, and free. */
static void finish(struct volley_server *server, int client, uint64_t n_copies)
{
	struct volley_stats stats = { .size = sizeof stats };
	char byte;

	CHECK_EQ(volley_server_drain(server), 0);
	CHECK_EQ(atomic_load(&n_calls), 1);
	CHECK_EQ(links_recv(client, &byte, 1, NULL, 0), -1);
	CHECK_EQ(volley_server_get_stats(server, &stats), 0);
	CHECK_EQ(get_copies(server), n_copies);
	CHECK_EQ(stats.rx_datagrams, stats.delivered + n_copies);
	CHECK_EQ(volley_server_free(server), 0);
}

static uint16_t get_port(struct volley_server *server)
{
	return volley_addr_get_port(LISTENER_ADDR(server, 0));
}

static void ask_new(const char *address, int client, const char *host, uint64_t n_copies)
{
	struct volley_server *server = new_server(N_WORKERS);

	REQUIRE(volley_server_listen(server, address, VOLLEY_LISTEN(.on_batch = echo), NULL) == 0);
	REQUIRE(volley_server_start(server) == 0);
	ask_once(client, host, get_port(server));
	finish(server, client, n_copies);
}

/* Three sockets of ours for two workers. */
static void ask_adopted(const char *address, int client, const char *host, uint64_t n_copies)
{
	struct volley_server *server = new_server(2);
	struct volley_addr addr = links_addr(address);
	int fds[3], on = 1;

	for (int i = 0; i < 3; i++) {
		fds[i] = socket(addr.sa.sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
		REQUIRE(setsockopt(fds[i], SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) == 0);
		REQUIRE(bind(fds[i], &addr.sa, addr.len) == 0);
		addr.len = sizeof addr.in6;
		REQUIRE(getsockname(fds[i], &addr.sa, &addr.len) == 0);
	}
	REQUIRE(volley_server_adopt(server, fds, 3, VOLLEY_LISTEN(.on_batch = echo), NULL) == 1);
	REQUIRE(volley_server_start(server) == 0);
	ask_once(client, host, volley_addr_get_port(&addr));
	finish(server, client, n_copies);
}

/* From four workers to three. */
static void ask_restarted(const char *address, int client, const char *host, uint64_t n_copies)
{
	struct volley_server *old = new_server(N_WORKERS), *server = new_server(3);
	struct giver giver;
	int fds[2];

	REQUIRE(volley_server_listen(old, address, VOLLEY_LISTEN(.on_batch = echo), NULL) == 0);
	REQUIRE(volley_server_start(old) == 0);
	REQUIRE(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) == 0);
	giver_start(&giver, old, fds[0], PATIENCE_US, false);
	REQUIRE(volley_server_import_fds(server, fds[1], PATIENCE_US, NULL, NULL) == N_WORKERS);
	REQUIRE(volley_server_listen(server, address, VOLLEY_LISTEN(.on_batch = echo), NULL) == 0);
	REQUIRE(volley_server_start(server) == 0);
	REQUIRE(volley_server_import_commit(server, fds[1], PATIENCE_US) == 0);
	CHECK_EQ(giver_join(&giver), 0);
	CHECK_EQ(volley_server_free(old), 0);
	ask_once(client, host, get_port(server));
	finish(server, client, n_copies);
}

int main(void)
{
	int client, client6;

	promise_begin(10);
	links_begin();
	client = links_open_far("10.1.0.9:0", "b0");
	client6 = links_open_far("[fe80::9%b0]:0", "b0");

	/*
	 * The kernel stops copies of groups, but for one of IPv4's, which its early demultiplexing
	 * needs to see; those of broadcasts are all dropped by name.
	 */
	ask_new("0.0.0.0:0", client, "255.255.255.255", N_WORKERS - 1);
	ask_new("0.0.0.0:0", client, "10.1.0.255", N_WORKERS - 1);
	ask_new("0.0.0.0:0", client, "224.0.0.1", 1);
	ask_new("[::]:0", client, "10.1.0.255", N_WORKERS - 1);
	ask_new("[::]:0", client, "224.0.0.1", 1);
	ask_new("[::]:0", client6, "[ff02::1%b0]", 0);
	ask_new("10.1.0.255:0", client, "10.1.0.255", N_WORKERS - 1);
	ask_new("224.0.0.1:0", client, "224.0.0.1", 1);

	ask_adopted("0.0.0.0:0", client, "10.1.0.255", 2);
	ask_adopted("[::]:0", client, "224.0.0.1", 1);
	ask_adopted("[::]:0", client6, "[ff02::1%b0]", 0);

	ask_restarted("0.0.0.0:0", client, "10.1.0.255", N_WORKERS - 1);
	ask_restarted("[::]:0", client6, "[ff02::1%b0]", 0);
	return check_done();
}
