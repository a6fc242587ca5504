/* SPDX-License-Identifier: MIT */

/*
 * The generator against a socket of the test's own: it sends what it says, and sees what is wrong
 * with the replies.
 */

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <netinet/udp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "load/generator.h"

#define SOURCE 0x7f100001u

struct datagram {
	uint8_t data[2048];
	ssize_t len;
	struct sockaddr_in from;
};

static int open_server(struct bench_load *load)
{
	struct sockaddr_in addr = { .sin_family = AF_INET,
				    .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof addr;
	int size = 4 << 20;
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);

	cr_assert_geq(fd, 0);
	cr_assert_eq(bind(fd, (struct sockaddr *)&addr, sizeof addr), 0);
	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
	cr_assert_eq(getsockname(fd, (struct sockaddr *)&addr, &len), 0);
	*load = (struct bench_load){ .server = addr,
				     .sizes = { .n = 1, .bytes = { 64 }, .weight = { 1 } },
				     .source = SOURCE,
				     .n_clients = 4,
				     .n_sockets = 1,
				     .n_burst = 1,
				     .n_window = 8 };
	return fd;
}

static bool take(int fd, struct datagram *d)
{
	socklen_t len = sizeof d->from;

	d->len = recvfrom(fd, d->data, sizeof d->data, 0, (struct sockaddr *)&d->from, &len);
	return d->len >= 0;
}

static void reply(int fd, const struct datagram *d, size_t len)
{
	cr_assert_eq(sendto(fd, d->data, len, 0, (const struct sockaddr *)&d->from, sizeof d->from),
		     (ssize_t)len);
}

static struct bench_gen *open_gen(const struct bench_load *load)
{
	struct bench_gen *gen = NULL;

	cr_assert_eq(bench_gen_open(load, &gen), 0);
	return gen;
}

/* Client k is SOURCE + k, and each sends a whole burst before the next has its turn. */
static void check_push(uint32_t n_burst, uint32_t n)
{
	struct bench_load load;
	struct bench_gen_counts counts;
	struct bench_gen *gen;
	struct datagram d;
	int fd = open_server(&load);
	uint32_t got = 0;

	load.n_burst = n_burst;
	gen = open_gen(&load);
	cr_assert_eq(bench_gen_push(gen, n), 0);
	while (take(fd, &d)) {
		uint64_t seq;

		cr_assert_eq(d.len, 64);
		cr_assert_eq(ntohl(d.from.sin_addr.s_addr), SOURCE + got / n_burst % 4);
		memcpy(&seq, d.data + 8, sizeof seq);
		cr_assert_eq(seq, got);
		got++;
	}
	cr_assert_eq(got, n);
	bench_gen_get_counts(gen, &counts);
	cr_assert_eq(counts.sent, n);
	bench_gen_close(gen);
	close(fd);
}

Test(generator, push_sends_exactly_so_many_from_all_clients_in_turn)
{
	check_push(1, 203);
}

Test(generator, bursts_arrive_as_single_datagrams_of_one_client)
{
	check_push(8, 200);
	check_push(8, 203); /* the last burst is shorter */
}

/* How many of 16 datagrams in bursts of 4 a socket with UDP_GRO takes as parts of a message. */
static uint32_t count_coalesced(bool is_single)
{
	struct bench_load load;
	struct bench_gen *gen;
	uint8_t data[4096];
	int fd = open_server(&load);
	int one = 1;
	ssize_t got;
	uint32_t n = 0, n_coalesced = 0;

	cr_assert_eq(setsockopt(fd, SOL_UDP, UDP_GRO, &one, sizeof one), 0);
	load.n_burst = 4;
	load.is_single = is_single;
	gen = open_gen(&load);
	cr_assert_eq(bench_gen_push(gen, 16), 0);
	while ((got = recv(fd, data, sizeof data, 0)) > 0) {
		n += (uint32_t)got / 64;
		n_coalesced += got > 64 ? (uint32_t)got / 64 : 0;
	}
	cr_assert_eq(n, 16);
	bench_gen_close(gen);
	close(fd);
	return n_coalesced;
}

Test(generator, bursts_are_segmented_unless_told)
{
	cr_assert_eq(count_coalesced(false), 16);
	cr_assert_eq(count_coalesced(true), 0);
}

Test(generator, single_messages_keep_the_order_of_bursts)
{
	struct bench_load load;
	struct bench_gen *gen;
	struct datagram d;
	int fd = open_server(&load);
	uint32_t got = 0;

	load.n_burst = 3;
	load.is_single = true;
	gen = open_gen(&load);
	cr_assert_eq(bench_gen_push(gen, 200), 0);
	for (; take(fd, &d); got++)
		cr_assert_eq(ntohl(d.from.sin_addr.s_addr), SOURCE + got / 3 % 4, "AAABBB...");
	cr_assert_eq(got, 200);
	bench_gen_close(gen);
	close(fd);
}

Test(generator, servers_take_bursts_in_turn)
{
	struct bench_load load;
	struct bench_gen *gen;
	struct datagram d;
	int first = open_server(&load);
	struct sockaddr_in addr = load.server;
	int second = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
	int n_first = 0, n_second = 0;

	addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1);
	cr_assert_eq(bind(second, (struct sockaddr *)&addr, sizeof addr), 0);
	load.n_servers = 2;
	load.n_burst = 2;
	gen = open_gen(&load);
	cr_assert_eq(bench_gen_push(gen, 12), 0);
	while (take(first, &d))
		n_first++;
	while (take(second, &d))
		n_second++;
	cr_assert_eq(n_first, 6);
	cr_assert_eq(n_second, 6);
	bench_gen_close(gen);
	close(first);
	close(second);
}

Test(generator, sockets_share_the_clients)
{
	struct bench_load load;
	struct datagram d;
	struct bench_gen *gen;
	uint16_t ports[2] = { 0, 0 };
	int fd = open_server(&load);
	int n = 0;

	load.n_sockets = 2;
	load.n_clients = 2;
	gen = open_gen(&load);
	for (int i = 0; i < 2; i++)
		cr_assert_eq(bench_gen_push(gen, 1), 0);
	while (take(fd, &d) && n < 2) {
		ports[n++] = d.from.sin_port;
		cr_assert_eq(ntohl(d.from.sin_addr.s_addr), SOURCE);
	}
	cr_assert_eq(n, 2);
	cr_assert_neq(ports[0], ports[1]);
	bench_gen_close(gen);
	close(fd);
}

Test(generator, mix_has_its_weights)
{
	struct bench_load load;
	struct datagram d;
	struct bench_gen *gen;
	int fd = open_server(&load);
	int n_small = 0, n_large = 0;

	cr_assert_eq(bench_sizes_parse("64:3,1000:1", &load.sizes), 0);
	gen = open_gen(&load);
	cr_assert_eq(bench_gen_push(gen, 400), 0);
	while (take(fd, &d)) {
		n_small += d.len == 64;
		n_large += d.len == 1000;
	}
	cr_assert_eq(n_small, 300);
	cr_assert_eq(n_large, 100);
	bench_gen_close(gen);
	close(fd);
}

Test(generator, closed_loop_never_exceeds_its_window)
{
	struct bench_load load;
	struct bench_gen_counts counts;
	struct bench_gen *gen;
	int fd = open_server(&load);

	load.n_burst = 3;
	gen = open_gen(&load);
	cr_assert_eq(bench_gen_run(gen, 20000000), 0);
	bench_gen_get_counts(gen, &counts);
	cr_assert_eq(counts.sent, 6, "two bursts of three fit into eight");
	bench_gen_close(gen);
	close(fd);
}

Test(generator, closed_loop_gives_up_what_is_lost)
{
	struct bench_load load;
	struct bench_gen_counts counts;
	struct bench_gen *gen;
	int fd = open_server(&load);

	gen = open_gen(&load);
	cr_assert_eq(bench_gen_run(gen, 75000000), 0);
	bench_gen_get_counts(gen, &counts);
	cr_assert_eq(counts.assumed_lost, 8);
	cr_assert_eq(counts.sent, 16);
	bench_gen_close(gen);
	close(fd);
}

/* One run of 100 ms at 10,000 a second; how many were sent. */
static uint64_t run_open_loop(void)
{
	struct bench_load load;
	struct bench_gen_counts counts;
	struct bench_gen *gen;
	int fd = open_server(&load);

	load.n_window = 0;
	load.rate = 10000;
	gen = open_gen(&load);
	cr_assert_eq(bench_gen_run(gen, 100000000), 0);
	bench_gen_get_counts(gen, &counts);
	cr_assert_leq(counts.sent, 1064, "more than is due and a batch");
	cr_assert_eq(bench_gen_get_slip(gen)->n, counts.sent);
	bench_gen_close(gen);
	close(fd);
	return counts.sent;
}

/*
 * What is due is sent, and at most one full batch is still owed at the end; more, when the machine
 * gave the CPU to somebody else just then. That does not happen ten times in a row.
 */
Test(generator, open_loop_sends_at_its_rate)
{
	uint64_t sent = 0;

	for (int i = 0; i < 10 && sent < 936; i++)
		sent = run_open_loop();
	cr_assert_geq(sent, 936);
}

Test(generator, replies_are_told_apart)
{
	struct bench_load load;
	struct bench_gen_counts counts;
	struct bench_gen *gen;
	struct datagram first, second, d;
	int fd = open_server(&load);

	load.n_clients = 1;
	gen = open_gen(&load);
	cr_assert_eq(bench_gen_push(gen, 5), 0);
	cr_assert(take(fd, &first) && take(fd, &second));
	reply(fd, &second, 64);
	reply(fd, &first, 64); /* overtaken */
	reply(fd, &first, 64); /* twice */
	cr_assert(take(fd, &d));
	reply(fd, &d, 63); /* cut */
	cr_assert(take(fd, &d));
	d.data[0] ^= 1;
	reply(fd, &d, 64); /* of another generator */
	reply(fd, &d, 4);  /* too short to tell */
	bench_gen_drain(gen, 20000000);
	bench_gen_get_counts(gen, &counts);
	cr_assert_eq(counts.received, 6);
	cr_assert_eq(counts.unique, 2);
	cr_assert_eq(counts.reordered, 1);
	cr_assert_eq(counts.duplicates, 1);
	cr_assert_eq(counts.foreign, 2);
	cr_assert_eq(counts.unstamped, 1);
	bench_gen_close(gen);
	close(fd);
}

Test(generator, refused_replies_are_counted_unread)
{
	struct bench_load load;
	struct bench_gen_counts counts;
	struct bench_gen *gen;
	struct datagram d;
	int fd = open_server(&load);

	load.drop_replies = true;
	gen = open_gen(&load);
	cr_assert_eq(bench_gen_push(gen, 10), 0);
	for (int i = 0; i < 7; i++) {
		cr_assert(take(fd, &d));
		reply(fd, &d, 64);
	}
	bench_gen_get_counts(gen, &counts);
	cr_assert_eq(counts.received, 0);
	cr_assert_eq(bench_gen_get_refused(gen), 7);
	bench_gen_close(gen);
	close(fd);
}

Test(generator, impossible_loads_are_refused)
{
	struct bench_load load;
	struct bench_gen *gen = NULL;
	int fd = open_server(&load);

	load.n_burst = BENCH_LOAD_MAX_BURST + 1;
	cr_assert_eq(bench_gen_open(&load, &gen), -EINVAL);
	load.n_burst = 64;
	load.sizes.bytes[0] = 1472;
	cr_assert_eq(bench_gen_open(&load, &gen), -EMSGSIZE);
	load.n_burst = 1;
	load.n_sockets = 5;
	cr_assert_eq(bench_gen_open(&load, &gen), -EINVAL);
	cr_assert_null(gen);
	close(fd);
}

Test(generator, loads_are_described)
{
	struct bench_load load;
	char text[120];
	int fd = open_server(&load);

	bench_load_describe(&load, text, sizeof text);
	cr_assert_str_eq(text, "64-byte echo, 4 clients in bursts of 1, window 8");
	cr_assert_eq(bench_sizes_parse("64:3,1000:1", &load.sizes), 0);
	load.n_window = 0;
	load.is_single = true;
	load.use_gro = true;
	bench_load_describe(&load, text, sizeof text);
	cr_assert_str_eq(
		text, "64:3,1000:1-byte echo, 4 clients with GRO in bursts of 1 single messages");
	close(fd);
}

Test(generator, sizes_are_read_from_text)
{
	struct bench_sizes sizes;

	cr_assert_eq(bench_sizes_parse("64:7,576:4,1472:1", &sizes), 0);
	cr_assert_eq(sizes.n, 3);
	cr_assert_eq(sizes.weight[1], 4);
	cr_assert_eq(bench_sizes_get_max(&sizes), 1472);
	cr_assert_lt(bench_sizes_parse("65508", &sizes), 0);
	cr_assert_lt(bench_sizes_parse("64:", &sizes), 0);
	cr_assert_lt(bench_sizes_parse("64,,3", &sizes), 0);
	cr_assert_lt(bench_sizes_parse("", &sizes), 0);
}
