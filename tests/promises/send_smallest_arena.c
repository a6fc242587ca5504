/* SPDX-License-Identifier: MIT */

/*
 * The smallest arena that the config takes has room for the largest send that UDP takes, over IPv4
 * and over IPv6, and for one after the other in one callback.
 */

#include "lib/listeners.h"
#include "sending.h"

enum { MAX_IPV4 = 65507, MAX_IPV6 = 65527, N_SENDS = 3 };

static uint8_t payload[MAX_IPV6];
static struct volley_addr to;
static size_t n_payload;
static int results[N_SENDS];

static void send_largest(struct volley_worker *worker, struct volley_packet *packet, void *arg)
{
	(void)packet, (void)arg;
	for (int i = 0; i < N_SENDS; i++)
		results[i] = volley_worker_send(worker,
						listener_at(volley_worker_get_server(worker), 0),
						&to, payload, n_payload, NULL);
}

static void check(const char *address, size_t n)
{
	struct volley_server *server = NULL;
	struct volley_stats stats;
	const struct volley_addr *addr;
	int fd;

	n_payload = n;
	REQUIRE(volley_server_new(VOLLEY_CONFIG(.n_workers = 1, .arena_bytes = 65536), &server) ==
		0);
	REQUIRE(volley_server_listen(server, address, VOLLEY_LISTEN(.on_packet = send_largest),
				     NULL) == 0);
	addr = LISTENER_ADDR(server, 0);
	fd = socket(addr->sa.sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	REQUIRE(fd >= 0 && sendto(fd, "x", 1, 0, &addr->sa, addr->len) == 1);
	REQUIRE(volley_addr_parse(addr->sa.sa_family == AF_INET ? "127.0.0.1:9" : "[::1]:9", &to) ==
		0);
	REQUIRE(volley_server_start(server) == 0);
	CHECK_EQ(volley_server_drain(server), 0);
	stats = get_stats(server);
	CHECK_EQ(stats.delivered, 1);
	for (int i = 0; i < N_SENDS; i++)
		CHECK_EQ(results[i], 0);
	CHECK_EQ(stats.tx_sent, N_SENDS);
	CHECK_EQ(stats.tx_dropped[VOLLEY_TX_NO_BUFFER], 0);
	volley_server_free(server);
	close(fd);
}

int main(void)
{
	promise_begin(3);
	check("127.0.0.1:0", MAX_IPV4);
	check("[::1]:0", MAX_IPV6);
	return check_done();
}
