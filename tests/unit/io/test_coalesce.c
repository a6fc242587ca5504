/* SPDX-License-Identifier: MIT */

/*
 * Grouping. A case writes a flush as text, "A64 B64 A64", and the messages it expects; whatever it
 * does, lib/grouping.c judges the whole result by the rules.
 */

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/compiler.h"
#include "io/coalesce.h"
#include "lib/fault.h"
#include "lib/grouping.h"
#include "lib/loopback.h"
#include "sys/clock.h"

enum { N = GROUPING_N };

static const struct vly_coalesce_limits wide = { .n_segments = 64, .segment_bytes = 65535 };

struct flush {
	struct vly_coalesce *coalesce;
	struct vly_tx tx[N];
	uint32_t n;
	const uint16_t *heads;
	uint32_t n_heads;
};

static struct flush *open_flush(void)
{
	struct flush *flush = calloc(1, sizeof *flush);

	cr_assert_not_null(flush);
	flush->coalesce = vly_coalesce_new(NULL, N);
	cr_assert_not_null(flush->coalesce);
	return flush;
}

static void close_flush(struct flush *flush)
{
	vly_coalesce_free(flush->coalesce);
	free(flush);
}

static void add(struct flush *flush, const struct volley_addr *peer,
		const struct volley_addr *local, uint32_t len)
{
	cr_assert_lt(flush->n, N);
	/* What an earlier flush left must not matter. */
	flush->tx[flush->n++] = (struct vly_tx){ .peer = peer,
						 .local = local,
						 .len = len,
						 .next = 999,
						 .n_segments = 77,
						 .header = local != NULL ? VLY_CMSG_HEADER_LOCAL
									 : 0 };
}

static void run_from(struct flush *flush, uint32_t first, const struct vly_coalesce_limits *limits)
{
	const char *fault;
	uint32_t n = flush->n - first;

	flush->n_heads = vly_coalesce_run(flush->coalesce, flush->tx, first, n, limits,
					  &flush->heads);
	fault = grouping_find_fault(flush->tx, first, n, limits, flush->heads, flush->n_heads);
	cr_assert_null(fault, "%s", fault);
}

/* "127.0.0.1:1" for 'A', ":2" for 'B' and so on. */
static const struct volley_addr *peer_of(char name)
{
	static struct volley_addr peers[26];
	struct volley_addr *peer = &peers[name - 'A'];

	if (peer->len == 0) {
		*peer = loopback_addr("127.0.0.1:0");
		peer->in.sin_port = htons((uint16_t)(name - 'A' + 1));
	}
	return peer;
}

/* The messages as text: "A:0,1,4 B:2". */
static void print_messages(const struct flush *flush, char *text, size_t n_text)
{
	size_t at = 0;

	text[0] = '\0';
	for (uint32_t i = 0; i < flush->n_heads; i++) {
		uint32_t entry = flush->heads[i];
		char name = (char)('A' + ntohs(flush->tx[entry].peer->in.sin_port) - 1);

		at += (size_t)snprintf(text + at, n_text - at, "%s%c:%u", i > 0 ? " " : "", name,
				       entry);
		for (uint32_t k = 1; k < flush->tx[flush->heads[i]].n_segments; k++) {
			entry = flush->tx[entry].next;
			at += (size_t)snprintf(text + at, n_text - at, ",%u", entry);
		}
	}
}

static void expect(const char *script, const struct vly_coalesce_limits *limits,
		   const char *expected)
{
	struct flush *flush = open_flush();
	char text[512];

	for (const char *at = script; *at != '\0';) {
		char *end;
		uint32_t len = (uint32_t)strtoul(at + 1, &end, 10);

		add(flush, peer_of(*at), NULL, len);
		at = *end == ' ' ? end + 1 : end;
	}
	run_from(flush, 0, limits);
	print_messages(flush, text, sizeof text);
	cr_expect_str_eq(text, expected, "%s: %s instead of %s", script, text, expected);
	close_flush(flush);
}

Test(coalesce, without_memory)
{
	for (unsigned int nth = 1;; nth++) {
		struct vly_coalesce *coalesce;

		fault_arm(FAULT_ANY, nth, ENOMEM);
		coalesce = vly_coalesce_new(NULL, N);
		if (fault_disarm() == 0) {
			cr_assert_not_null(coalesce);
			vly_coalesce_free(coalesce);
			cr_assert_gt(nth, 7, "the object and six arrays");
			break;
		}
		cr_assert_null(coalesce);
	}
	vly_coalesce_free(NULL);
}

Test(coalesce, none_and_one)
{
	struct flush *flush = open_flush();

	run_from(flush, 0, &wide);
	cr_assert_eq(flush->n_heads, 0);
	close_flush(flush);
	expect("A64", &wide, "A:0");
	expect("A0", &wide, "A:0");
}

Test(coalesce, runs_and_interleaved)
{
	expect("A64 A64 B64 B64", &wide, "A:0,1 B:2,3");
	expect("A64 B64 A64 B64", &wide, "A:0,2 B:1,3");
	expect("A64 B64 C64 A64 C64 B64 A64", &wide, "A:0,3,6 B:1,5 C:2,4");
}

Test(coalesce, a_shorter_one_is_the_last)
{
	expect("A64 A63 A64", &wide, "A:0,1 A:2");
	expect("A64 A63 A63 A63", &wide, "A:0,1 A:2,3");
	expect("A64 A64 A1 A1 A2", &wide, "A:0,1,2 A:3 A:4");
	expect("A64 B9 A63 B8 A64 B8", &wide, "A:0,2 B:1,3 A:4 B:5");
}

Test(coalesce, a_longer_one_opens_the_next)
{
	expect("A64 A65 A65", &wide, "A:0 A:1,2");
	expect("A1 A2 A3 A3", &wide, "A:0 A:1 A:2,3");
}

Test(coalesce, empty_ones_stand_alone)
{
	expect("A0 A0 A0", &wide, "A:0 A:1 A:2");
	expect("A64 A0 A64 A64", &wide, "A:0 A:1 A:2,3");
	expect("A0 A64 A64", &wide, "A:0 A:1,2");
}

Test(coalesce, longer_than_the_segment_cap)
{
	static const struct vly_coalesce_limits cap = { .n_segments = 64, .segment_bytes = 1232 };

	expect("A1232 A1232 A1233 A1233", &cap, "A:0,1 A:2 A:3");
	/* A shorter one does not join either, though it would be the last. */
	expect("A1233 A64 A64", &cap, "A:0 A:1,2");
}

Test(coalesce, segment_limit)
{
	static const struct vly_coalesce_limits three = { .n_segments = 3, .segment_bytes = 65535 };
	static const struct vly_coalesce_limits one = { .n_segments = 1, .segment_bytes = 65535 };

	expect("A9 A9 A9 A9 A9 A9 A9", &three, "A:0,1,2 A:3,4,5 A:6");
	expect("A9 B9 A9 B9 A9 B9 A9 B9", &three, "A:0,2,4 B:1,3,5 A:6 B:7");
	expect("A9 A9 B9", &one, "A:0 A:1 B:2");
}

Test(coalesce, segment_limit_of_the_kernel)
{
	static const struct vly_coalesce_limits most = { .n_segments = 128,
							 .segment_bytes = 65535 };
	struct flush *flush = open_flush();

	for (int i = 0; i < 2 * 128 + 1; i++)
		add(flush, peer_of('A'), NULL, 8);
	run_from(flush, 0, &most);
	cr_assert_eq(flush->n_heads, 3);
	cr_assert_eq(flush->tx[flush->heads[0]].n_segments, 128);
	cr_assert_eq(flush->tx[flush->heads[1]].n_segments, 128);
	cr_assert_eq(flush->tx[flush->heads[2]].n_segments, 1);
	close_flush(flush);
}

/* 65,507 = 31 x 2,113 + 4. */
Test(coalesce, most_bytes_in_a_message)
{
	struct flush *flush = open_flush();

	for (int i = 0; i < 31; i++)
		add(flush, peer_of('A'), NULL, 2113);
	add(flush, peer_of('A'), NULL, 4);
	run_from(flush, 0, &wide);
	cr_assert_eq(flush->n_heads, 1, "65,507 bytes fit");
	flush->tx[flush->n - 1].len = 5;
	run_from(flush, 0, &wide);
	cr_assert_eq(flush->n_heads, 2, "65,508 do not");
	close_flush(flush);
	expect("A65507 A65507", &wide, "A:0 A:1");
	expect("A65527 A1", &wide, "A:0 A:1");
	expect("A32753 A32753 A1", &wide, "A:0,1,2");
	expect("A32753 A32753 A2", &wide, "A:0,1 A:2");
	expect("A32754 A32753", &wide, "A:0,1");
	expect("A32754 A32754", &wide, "A:0 A:1");
}

/* What differs in anything that the kernel sends by is another message. */
Test(coalesce, what_is_a_destination)
{
	static const char *const texts[] = {
		"127.0.0.1:7", "127.0.0.2:7",          "127.0.0.1:8", "[::1]:7",
		"[::2]:7",     "[::ffff:127.0.0.1]:7", "[fe80::1]:7",
	};
	enum { N_TEXTS = VLY_ARRAY_SIZE(texts) };
	struct flush *flush = open_flush();
	struct volley_addr addrs[N_TEXTS + 2];
	struct volley_addr copies[VLY_ARRAY_SIZE(addrs)];

	for (size_t i = 0; i < N_TEXTS; i++)
		addrs[i] = loopback_addr(texts[i]);
	for (size_t i = 0; i < 2; i++) {
		addrs[N_TEXTS + i] = addrs[N_TEXTS - 1];
		addrs[N_TEXTS + i].in6.sin6_scope_id = (uint32_t)i + 1;
	}
	memcpy(copies, addrs, sizeof copies);
	/* The same by value through another pointer is the same. */
	for (size_t i = 0; i < VLY_ARRAY_SIZE(addrs); i++)
		add(flush, &addrs[i], NULL, 64);
	for (size_t i = 0; i < VLY_ARRAY_SIZE(addrs); i++)
		add(flush, &copies[i], NULL, 64);
	run_from(flush, 0, &wide);
	cr_assert_eq(flush->n_heads, VLY_ARRAY_SIZE(addrs));
	for (size_t i = 0; i < VLY_ARRAY_SIZE(addrs); i++)
		cr_assert_eq(flush->tx[flush->heads[i]].n_segments, 2);

	/* And so is the address it leaves from. */
	flush->n = 0;
	for (size_t i = 0; i < VLY_ARRAY_SIZE(addrs); i++) {
		add(flush, &addrs[0], &addrs[i], 64);
		add(flush, &copies[0], &copies[i], 64);
	}
	add(flush, &addrs[0], NULL, 64);
	add(flush, &copies[0], NULL, 64);
	run_from(flush, 0, &wide);
	cr_assert_eq(flush->n_heads, VLY_ARRAY_SIZE(addrs) + 1);
	for (size_t i = 0; i < flush->n_heads; i++)
		cr_assert_eq(flush->tx[flush->heads[i]].n_segments, 2);
	close_flush(flush);
}

/* Views of one super-packet share their peer by pointer, which is a way of its own. */
Test(coalesce, the_same_pointer_many_times)
{
	struct volley_addr other = *peer_of('A');
	struct flush *flush = open_flush();

	for (int i = 0; i < 100; i++)
		add(flush, i % 10 < 5 ? peer_of('A') : &other, i % 20 < 10 ? NULL : peer_of('L'),
		    64);
	run_from(flush, 0, &wide);
	cr_assert_eq(flush->n_heads, 10);
	close_flush(flush);
	expect("A64 A64 A9 A64 A64 A0 A64 A64", &wide, "A:0,1,2 A:3,4 A:5 A:6,7");
}

Test(coalesce, every_entry_another_destination)
{
	struct flush *flush = open_flush();
	struct volley_addr *peers = calloc(N, sizeof *peers);

	cr_assert_not_null(peers);
	for (uint32_t i = 0; i < N; i++) {
		peers[i] = loopback_addr(i % 2 ? "10.0.0.0:53" : "[2001:db8::]:53");
		if (i % 2)
			peers[i].in.sin_addr.s_addr = htonl(0x0a000000 + i);
		else
			peers[i].in6.sin6_addr.s6_addr[6 + i % 10] = (uint8_t)(1 + i / 10);
		add(flush, &peers[i], NULL, 64);
	}
	run_from(flush, 0, &wide);
	cr_assert_eq(flush->n_heads, N);
	/* The table is reused: nothing of the flush before may be found in it. */
	flush->n = 0;
	for (uint32_t i = 0; i < N; i++)
		add(flush, &peers[i / 2], NULL, 64);
	run_from(flush, 0, &wide);
	cr_assert_eq(flush->n_heads, N / 2);
	close_flush(flush);
	free(peers);
}

/* Two destinations in a table of four places: of 4,950 pairs, many meet in one place. */
Test(coalesce, collisions)
{
	enum { N_PEERS = 100 };
	struct volley_addr peers[N_PEERS];
	struct flush *flush = open_flush();

	for (int i = 0; i < N_PEERS; i++) {
		peers[i] = loopback_addr(i % 3 ? "127.0.0.1:0" : "[::1]:0");
		peers[i].in.sin_port = htons((uint16_t)(1000 + i));
	}
	for (int i = 0; i < N_PEERS; i++) {
		for (int k = 0; k < i; k++) {
			flush->n = 0;
			add(flush, &peers[i], NULL, 64);
			add(flush, &peers[k], NULL, 64);
			run_from(flush, 0, &wide);
			cr_assert_eq(flush->n_heads, 2);
		}
	}
	close_flush(flush);
}

/* The shortest of some runs over N destinations, which `spread` made differ. */
static uint64_t time_run(void (*spread)(struct volley_addr *addr, uint32_t i))
{
	struct flush *flush = open_flush();
	struct volley_addr *peers = calloc(N, sizeof *peers);
	uint64_t best_ns = UINT64_MAX;

	cr_assert_not_null(peers);
	for (uint32_t i = 0; i < N; i++) {
		peers[i] = loopback_addr("10.0.0.0:53");
		spread(&peers[i], i);
		add(flush, &peers[i], NULL, 64);
	}
	for (int round = 0; round < 50; round++) {
		uint64_t begin_ns = vly_clock_get_ns();
		uint64_t ns;

		flush->n_heads = vly_coalesce_run(flush->coalesce, flush->tx, 0, N, &wide,
						  &flush->heads);
		ns = vly_clock_get_ns() - begin_ns;
		best_ns = ns < best_ns ? ns : best_ns;
		cr_assert_eq(flush->n_heads, N);
	}
	close_flush(flush);
	free(peers);
	return best_ns;
}

static void spread_ports(struct volley_addr *addr, uint32_t i)
{
	addr->in.sin_port = htons((uint16_t)(1024 + i));
}

static void spread_hosts(struct volley_addr *addr, uint32_t i)
{
	addr->in.sin_addr.s_addr = htonl(0x0a000000 + i);
}

static void spread_nets(struct volley_addr *addr, uint32_t i)
{
	addr->in.sin_addr.s_addr = htonl(0x0a000001 + (i << 12));
}

/*
 * Wherever addresses differ, they begin at places of their own in the table: where they all begin
 * at one, a run takes a hundred times as long.
 */
Test(coalesce, clients_of_one_net_spread_over_the_table)
{
	uint64_t ports_ns = time_run(spread_ports);

	cr_expect_lt(time_run(spread_hosts), 10 * ports_ns);
	cr_expect_lt(time_run(spread_nets), 10 * ports_ns);
}

/* A flush begins behind those of other listeners, which are not touched. */
Test(coalesce, behind_other_entries)
{
	struct flush *flush = open_flush();

	for (int i = 0; i < 7; i++)
		add(flush, peer_of('A'), NULL, 64);
	run_from(flush, 4, &wide);
	cr_assert_eq(flush->n_heads, 1);
	cr_assert_eq(flush->heads[0], 4);
	for (int i = 0; i < 4; i++) {
		cr_assert_eq(flush->tx[i].next, 999);
		cr_assert_eq(flush->tx[i].n_segments, 77);
	}
	close_flush(flush);
}

Test(coalesce, by_size)
{
	static const struct vly_coalesce_limits by_size = { .n_segments = 64,
							    .segment_bytes = 65535,
							    .by_size = true };
	static const struct vly_coalesce_limits cap = { .n_segments = 3,
							.segment_bytes = 1232,
							.by_size = true };
	static const struct vly_coalesce_limits one = { .n_segments = 1,
							.segment_bytes = 65535,
							.by_size = true };

	expect("A64 A65 A64 A65 A64", &by_size, "A:1,3,0 A:2,4");
	expect("A1 A2 A3 A4", &by_size, "A:3,2 A:1,0");
	expect("A60 B70 A70 B60 A60 B70", &by_size, "B:1,5,3 A:2,0 A:4");
	expect("A64 B64 A64 B64", &by_size, "A:0,2 B:1,3");
	expect("A0 A9 A0 A256 A9 A255", &by_size, "A:3,5 A:1,4 A:0 A:2");
	expect("A511 A768 A512 A511", &by_size, "A:1,2 A:0,3");
	expect("A9 A1300 A9 A1232 A9 A1232 A9", &cap, "A:1 A:3,5,0 A:2,4,6");
	expect("A64 A65 A64", &one, "A:0 A:1 A:2");
}

/* Anything: few and many destinations, few and many sizes, narrow and wide limits. */
Test(coalesce, random_flushes)
{
	static const uint32_t sizes[] = { 64, 64, 64, 63, 0, 1232, 1233, 9000, 65507, 1 };
	struct flush *flush = open_flush();
	struct volley_addr peers[200];
	unsigned int seed = 1;

	for (size_t i = 0; i < VLY_ARRAY_SIZE(peers); i++) {
		peers[i] = loopback_addr("127.0.0.1:0");
		peers[i].in.sin_port = htons((uint16_t)(1 + i));
	}
	for (int round = 0; round < 3000; round++) {
		struct vly_coalesce_limits limits = {
			.n_segments = 1 + (uint32_t)rand_r(&seed) % 128,
			.segment_bytes = (uint32_t)rand_r(&seed) % 2 ? 65535 : 1232,
			.by_size = rand_r(&seed) % 4 == 0,
		};
		uint32_t n = (uint32_t)rand_r(&seed) % (rand_r(&seed) % 10 ? 64 : N);
		uint32_t n_peers = 1 + (uint32_t)rand_r(&seed) % VLY_ARRAY_SIZE(peers);
		uint32_t n_sizes = 1 + (uint32_t)rand_r(&seed) % VLY_ARRAY_SIZE(sizes);

		flush->n = 0;
		while (flush->n < n) {
			add(flush, &peers[(uint32_t)rand_r(&seed) % n_peers],
			    rand_r(&seed) % 8 ? NULL : &peers[0],
			    sizes[(uint32_t)rand_r(&seed) % n_sizes]);
			if (rand_r(&seed) % 8 == 0)
				flush->tx[flush->n - 1].header |= VLY_CMSG_HEADER_TOS | 1;
		}
		run_from(flush, n > 0 ? (uint32_t)rand_r(&seed) % n : 0, &limits);
	}
	close_flush(flush);
}

/*
 * Datagrams to one peer stay in order, however each of them leaves. A link-local peer is another
 * host on each link; without a local address the link says nothing.
 */
Test(coalesce, another_way_is_another_message_behind)
{
	struct volley_addr local = loopback_addr("169.254.1.1:7");
	struct flush *flush = open_flush();
	char text[64];

	for (uint32_t i = 0; i < 8; i++) {
		add(flush, peer_of(i < 4 && i % 2 ? 'B' : 'A'), i % 2 ? NULL : &local, 10);
		flush->tx[i].ifindex = i / 3; /* 0 0 0 1 1 1 2 2 */
		flush->tx[i].header |= i == 7 ? VLY_CMSG_HEADER_TOS : 0;
	}
	run_from(flush, 0, &wide);
	print_messages(flush, text, sizeof text);
	cr_expect_str_eq(text, "A:0,2 B:1,3 A:4 A:5 A:6 A:7", "%s", text);
	close_flush(flush);
}
