/* SPDX-License-Identifier: MIT */

/* Tables of peers: who is there, who goes first, and what is refused. */

#include <criterion/criterion.h>
#include <errno.h>
#include <stdalign.h>
#include <stdio.h>
#include <string.h>

#include <volley/config.h>
#include <volley/peers.h>

#include "base/compiler.h"
#include "lib/fault.h"

static struct volley_addr parse(const char *text)
{
	struct volley_addr addr;

	cr_assert_eq(volley_addr_parse(text, &addr), 0, "%s", text);
	return addr;
}

/* The i-th peer: IPv4 and IPv6 in turn. */
static struct volley_addr make(uint32_t i)
{
	char text[VOLLEY_ADDR_TEXT_BYTES];

	snprintf(text, sizeof text, i % 2 ? "[fd00::%x]:%u" : "10.0.%u.1:%u", i / 1000,
		 1 + i % 1000);
	return parse(text);
}

static struct volley_peers *open_table(const struct volley_peers_config *config)
{
	struct volley_peers *peers = NULL;

	cr_assert_eq(volley_peers_new(config, &peers), 0);
	cr_assert_not_null(peers);
	return peers;
}

static uint32_t *add(struct volley_peers *peers, uint32_t i, uint64_t now_ns)
{
	struct volley_addr addr = make(i);

	return volley_peers_add(peers, &addr, now_ns);
}

static uint32_t *get(struct volley_peers *peers, uint32_t i, uint64_t now_ns)
{
	struct volley_addr addr = make(i);

	return volley_peers_get(peers, &addr, now_ns);
}

static int take_out(struct volley_peers *peers, uint32_t i)
{
	struct volley_addr addr = make(i);

	return volley_peers_remove(peers, &addr);
}

static struct volley_peers_stats read_stats(const struct volley_peers *peers)
{
	struct volley_peers_stats stats = { .size = sizeof stats };

	cr_assert_eq(volley_peers_get_stats(peers, &stats), 0);
	cr_assert_eq(stats.size, sizeof stats);
	cr_assert_eq(stats.added, stats.now + stats.expired + stats.evicted + stats.removed);
	return stats;
}

/* What on_end was told: each test's data is the number of its peer. */
struct ends {
	struct volley_peers *peers;
	uint32_t n_left;
	uint32_t n;
	uint32_t numbers[64];
	enum volley_peers_end reasons[64];
};

static void note(const struct volley_addr *peer, void *data, enum volley_peers_end reason,
		 void *arg)
{
	struct ends *ends = arg;
	uint32_t number;
	struct volley_addr addr;

	memcpy(&number, data, sizeof number);
	addr = make(number);
	cr_assert(volley_addr_is_equal(peer, &addr), "the address is that of the data");
	ends->numbers[ends->n] = number;
	ends->reasons[ends->n++] = reason;
}

static void expect_ends(const struct ends *ends, uint32_t n, const uint32_t *numbers,
			enum volley_peers_end reason)
{
	cr_assert_eq(ends->n, n, "%u ended", ends->n);
	for (uint32_t i = 0; i < n; i++) {
		cr_assert_eq(ends->numbers[i], numbers[i], "the %u-th is %u", i, ends->numbers[i]);
		cr_assert_eq(ends->reasons[i], reason);
	}
}

/* Coming and going ----------------------------------------------------------------------------- */

Test(peers, one_comes_and_goes)
{
	struct volley_peers *peers = open_table(VOLLEY_PEERS(.n_max = 10, .n_bytes = 4));
	uint32_t *data;

	cr_assert_null(get(peers, 1, 0));
	cr_assert_eq(take_out(peers, 1), -ENOENT);
	data = add(peers, 1, 0);
	cr_assert_not_null(data);
	cr_assert_eq(*data, 0);
	*data = 77;
	cr_assert_eq(get(peers, 1, 0), data);
	cr_assert_null(get(peers, 2, 0));
	cr_assert_eq(add(peers, 1, 0), data, "who is known is not added twice");
	cr_assert_eq(*data, 77, "and keeps its data");
	cr_assert_eq(take_out(peers, 1), 0);
	cr_assert_null(get(peers, 1, 0));
	cr_assert_eq(take_out(peers, 1), -ENOENT);
	data = add(peers, 1, 0);
	cr_assert_eq(*data, 0, "it is a new one");
	cr_assert_eq(read_stats(peers).added, 2);
	cr_assert_eq(read_stats(peers).removed, 1);
	volley_peers_free(peers);
}

/* Tables of all small sizes, so that some are full to the last place that they may use. */
Test(peers, fill_to_the_last_one_and_no_further)
{
	for (uint32_t n_max = 1; n_max <= 40; n_max++) {
		struct volley_peers *peers = open_table(VOLLEY_PEERS(.n_max = n_max, .n_bytes = 4));

		for (uint32_t i = 0; i < n_max; i++)
			*add(peers, i, 0) = i;
		cr_assert_null(add(peers, n_max, 0));
		cr_assert_null(get(peers, n_max, 0), "a look at a full table ends");
		cr_assert_not_null(add(peers, n_max - 1, 0), "who is known needs no room");
		for (uint32_t i = 0; i < n_max; i++)
			cr_assert_eq(*get(peers, i, 0), i);
		cr_assert_eq(read_stats(peers).now, n_max);
		cr_assert_eq(read_stats(peers).refused, 1);
		cr_assert_eq(take_out(peers, n_max / 2), 0);
		cr_assert_not_null(add(peers, n_max, 0), "there is room again");
		cr_assert_null(add(peers, n_max / 2, 0));
		volley_peers_free(peers);
	}
}

Test(peers, family_port_and_scope_make_another_peer)
{
	static const char *const texts[] = { "127.0.0.1:7",   "[::ffff:127.0.0.1]:7",
					     "127.0.0.1:8",   "127.0.0.2:7",
					     "[fe80::1%1]:7", "[fe80::1%2]:7",
					     "[fe80::1]:7",   "[fe80::1%1]:8",
					     "[fe80::2%1]:7", "[fe81::1%1]:7" };
	struct volley_peers *peers = open_table(VOLLEY_PEERS(.n_max = 10));
	void *data[VLY_ARRAY_SIZE(texts)];
	struct volley_addr addr;

	for (size_t i = 0; i < VLY_ARRAY_SIZE(texts); i++) {
		addr = parse(texts[i]);
		data[i] = volley_peers_add(peers, &addr, 0);
		cr_assert_eq(read_stats(peers).now, i + 1, "%s", texts[i]);
	}
	for (size_t i = 0; i < VLY_ARRAY_SIZE(texts); i++) {
		addr = parse(texts[i]);
		if (addr.sa.sa_family == AF_INET6)
			addr.in6.sin6_flowinfo = htonl(0x12345); /* belongs to no address */
		cr_assert_eq(volley_peers_get(peers, &addr, 0), data[i], "%s", texts[i]);
	}
	volley_peers_free(peers);
}

Test(peers, without_data_the_pointer_says_known)
{
	struct volley_peers *peers = open_table(VOLLEY_PEERS(.n_max = 3));
	void *data[3];

	for (uint32_t i = 0; i < 3; i++) {
		data[i] = add(peers, i, 0);
		cr_assert_not_null(data[i]);
		for (uint32_t j = 0; j < i; j++)
			cr_assert_neq(data[i], data[j]);
	}
	cr_assert_eq((void *)get(peers, 2, 0), data[2]);
	volley_peers_free(peers);
}

Test(peers, data_is_aligned_for_any_type_and_nobody_elses)
{
	for (uint32_t n_bytes = 1; n_bytes <= 100; n_bytes++) {
		struct volley_peers *peers = open_table(
			VOLLEY_PEERS(.n_max = 5, .n_bytes = n_bytes));
		uint8_t *data[5];

		for (uint32_t i = 0; i < 5; i++) {
			data[i] = (uint8_t *)add(peers, i, 0);
			cr_assert_eq((uintptr_t)data[i] % alignof(max_align_t), 0);
			memset(data[i], (int)i + 1, n_bytes);
		}
		for (uint32_t i = 0; i < 5; i++) {
			cr_assert_eq((void *)get(peers, i, 0), data[i]);
			for (uint32_t j = 0; j < n_bytes; j++)
				cr_assert_eq(data[i][j], i + 1);
		}
		volley_peers_free(peers);
	}
}

/* Time ----------------------------------------------------------------------------------------- */

Test(peers, the_longest_idle_expire_first_and_not_too_many)
{
	struct ends ends = { .n = 0 };
	struct volley_peers *peers = open_table(VOLLEY_PEERS(.n_max = 10, .n_bytes = 4,
							     .idle_ns = 100, .on_end = note,
							     .arg = &ends));

	for (uint32_t i = 0; i < 6; i++)
		*add(peers, i, 10 * i) = i; /* at 0, 10, 20, 30, 40, 50 */
	get(peers, 1, 60);
	add(peers, 3, 70);
	cr_assert_eq(volley_peers_expire(peers, 99, 10), 0);
	cr_assert_eq(volley_peers_expire(peers, 100, 0), 0);
	cr_assert_eq(volley_peers_expire(peers, 100, 10), 1, "just then, and 2 not before 120");
	cr_assert_eq(volley_peers_expire(peers, 165, 2), 2);
	cr_assert_eq(volley_peers_expire(peers, 165, 10), 2);
	cr_assert_eq(volley_peers_expire(peers, 169, 10), 0);
	cr_assert_eq(volley_peers_expire(peers, 1000, 10), 1);
	cr_assert_eq(volley_peers_expire(peers, UINT64_MAX, 10), 0, "nobody is left");
	expect_ends(&ends, 6, (uint32_t[]){ 0, 2, 4, 5, 1, 3 }, VOLLEY_PEERS_EXPIRED);
	cr_assert_eq(read_stats(peers).expired, 6);
	volley_peers_free(peers);
}

Test(peers, nobody_expires_without_an_idle_time)
{
	struct volley_peers *peers = open_table(VOLLEY_PEERS(.n_max = 2));

	add(peers, 1, 0);
	cr_assert_eq(volley_peers_expire(peers, UINT64_MAX, UINT32_MAX), 0);
	cr_assert_not_null(get(peers, 1, 0));
	volley_peers_free(peers);
}

Test(peers, a_time_that_goes_back_ends_nobody)
{
	struct ends ends = { .n = 0 };
	struct volley_peers *peers = open_table(VOLLEY_PEERS(.n_max = 10, .n_bytes = 4,
							     .idle_ns = 100, .on_end = note,
							     .arg = &ends));

	*add(peers, 1, 1000) = 1;
	*add(peers, 2, 500) = 2; /* counts as 1000 */
	cr_assert_eq(volley_peers_expire(peers, 0, 10), 0);
	get(peers, 1, 900); /* as well, and it is the newest now */
	cr_assert_eq(volley_peers_expire(peers, 1050, 10), 0);
	cr_assert_eq(volley_peers_expire(peers, 700, 10), 0);
	cr_assert_eq(volley_peers_expire(peers, 1100, 10), 2);
	expect_ends(&ends, 2, (uint32_t[]){ 2, 1 }, VOLLEY_PEERS_EXPIRED);
	volley_peers_free(peers);
}

Test(peers, the_longest_idle_makes_room)
{
	struct ends ends = { .n = 0 };
	struct volley_peers *peers = open_table(VOLLEY_PEERS(.n_max = 3, .n_bytes = 4,
							     .on_end = note, .arg = &ends,
							     .flags = VOLLEY_PEERS_EVICT_IDLEST));

	for (uint32_t i = 0; i < 3; i++)
		*add(peers, i, 0) = i;
	get(peers, 0, 0); /* 1 is idle longest now, whatever the clock says */
	*add(peers, 3, 0) = 3;
	cr_assert_null(get(peers, 1, 0));
	add(peers, 2, 0);
	*add(peers, 4, 0) = 4;
	*add(peers, 5, 0) = 5;
	expect_ends(&ends, 3, (uint32_t[]){ 1, 0, 3 }, VOLLEY_PEERS_EVICTED);
	cr_assert_eq(*get(peers, 2, 0), 2);
	cr_assert_eq(read_stats(peers).evicted, 3);
	cr_assert_eq(read_stats(peers).refused, 0);
	volley_peers_free(peers);
}

/* on_end --------------------------------------------------------------------------------------- */

Test(peers, free_and_remove_tell_why)
{
	struct ends ends = { .n = 0 };
	struct volley_peers *peers = open_table(
		VOLLEY_PEERS(.n_max = 10, .n_bytes = 4, .on_end = note, .arg = &ends));

	for (uint32_t i = 0; i < 4; i++)
		*add(peers, i, i) = i;
	cr_assert_eq(take_out(peers, 2), 0);
	expect_ends(&ends, 1, (uint32_t[]){ 2 }, VOLLEY_PEERS_REMOVED);
	get(peers, 0, 9);
	ends.n = 0;
	volley_peers_free(peers);
	expect_ends(&ends, 3, (uint32_t[]){ 1, 3, 0 }, VOLLEY_PEERS_FREED);
}

enum { STAYER = 9 };

static void misuse(const struct volley_addr *peer, void *data, enum volley_peers_end reason,
		   void *arg)
{
	struct ends *ends = arg;
	struct volley_peers *peers = ends->peers;
	bool is_stayer;

	note(peer, data, reason, arg);
	is_stayer = ends->numbers[ends->n - 1] == STAYER;
	cr_assert_eq(read_stats(peers).now, --ends->n_left);
	cr_assert_null(volley_peers_get(peers, peer, 0), "it has left");
	cr_assert_eq(get(peers, STAYER, 0) == NULL, is_stayer, "and becomes the newest");
	cr_assert_null(volley_peers_add(peers, peer, 0));
	cr_assert_null(add(peers, STAYER, 0));
	cr_assert_eq(volley_peers_remove(peers, peer), -EDEADLK);
	cr_assert_eq(take_out(peers, STAYER), -EDEADLK);
	cr_assert_eq(volley_peers_expire(peers, UINT64_MAX, 10), 0);
	volley_peers_free(peers);
	cr_assert_eq(read_stats(peers).now, ends->n_left);
}

Test(peers, on_end_may_look_and_change_nothing)
{
	static const uint32_t first[] = { STAYER, 1, 2, 3 };
	struct ends ends = { .n_left = 4 };
	struct volley_peers *peers = open_table(
		VOLLEY_PEERS(.n_max = 4, .n_bytes = 4, .idle_ns = 100,
			     .flags = VOLLEY_PEERS_EVICT_IDLEST, .on_end = misuse, .arg = &ends));

	ends.peers = peers;
	for (uint32_t i = 0; i < 4; i++)
		*add(peers, first[i], i) = first[i];
	cr_assert_eq(take_out(peers, 1), 0);
	expect_ends(&ends, 1, (uint32_t[]){ 1 }, VOLLEY_PEERS_REMOVED);
	ends.n = 0;
	cr_assert_eq(volley_peers_expire(peers, 102, 10), 1);
	expect_ends(&ends, 1, (uint32_t[]){ 2 }, VOLLEY_PEERS_EXPIRED);
	for (uint32_t i = 4; i <= 5; i++)
		*add(peers, i, 0) = i;
	ends.n_left = 4;
	ends.n = 0;
	*add(peers, 6, 0) = 6;
	expect_ends(&ends, 1, (uint32_t[]){ 3 }, VOLLEY_PEERS_EVICTED);
	ends.n_left = 4;
	ends.n = 0;
	volley_peers_free(peers);
	expect_ends(&ends, 4, (uint32_t[]){ 4, 5, 6, STAYER }, VOLLEY_PEERS_FREED);
}

/* What is refused ------------------------------------------------------------------------------ */

Test(peers, configs_are_checked)
{
	struct volley_allocator half = { .allocate = NULL };
	const struct volley_peers_config *bad[] = {
		NULL,
		VOLLEY_PEERS(.n_bytes = 4),
		VOLLEY_PEERS(.n_max = (UINT32_C(1) << 27) + 1),
		VOLLEY_PEERS(.n_max = 1, .n_bytes = (1 << 20) + 1),
		VOLLEY_PEERS(.n_max = 1, .flags = 2),
		VOLLEY_PEERS(.n_max = 1, .reserved = 1),
		VOLLEY_PEERS(.n_max = 1, .allocator = &half),
		&(const struct volley_peers_config){ .size = 4, .n_max = 1 },
	};
	struct {
		struct volley_peers_config config;
		uint64_t newer;
	} longer = { .config = { .size = sizeof longer, .n_max = 1 } };
	struct volley_peers *peers = NULL;

	for (size_t i = 0; i < VLY_ARRAY_SIZE(bad); i++)
		cr_assert_eq(volley_peers_new(bad[i], &peers), -EINVAL, "config %zu", i);
	cr_assert_eq(volley_peers_new(VOLLEY_PEERS(.n_max = 1), NULL), -EINVAL);
	longer.newer = 1;
	cr_assert_eq(volley_peers_new(&longer.config, &peers), -E2BIG);
	cr_assert_null(peers);
	longer.newer = 0;
	cr_assert_eq(volley_peers_new(&longer.config, &peers), 0);
	volley_peers_free(peers);
	/* What is not there at all is as if it were zero. */
	longer.config.size = offsetof(struct volley_peers_config, n_bytes);
	longer.config.flags = 0xff;
	cr_assert_eq(volley_peers_new(&longer.config, &peers), 0);
	volley_peers_free(peers);
	volley_peers_config_init(&longer.config, sizeof longer.config);
	cr_assert_eq(longer.config.size, sizeof longer.config);
	cr_assert_eq(longer.config.flags, 0);
}

Test(peers, null_and_other_families_are_nobody)
{
	struct volley_peers *peers = open_table(VOLLEY_PEERS(.n_max = 2, .n_bytes = 4));
	struct volley_peers_stats stats = { .size = 8 };
	struct volley_addr odd[3] = { make(0), make(1), make(0) };

	odd[0].len = 0;
	odd[1].len = sizeof odd[1].in;
	odd[2].sa.sa_family = AF_UNIX;
	for (size_t i = 0; i < VLY_ARRAY_SIZE(odd); i++) {
		cr_assert_null(volley_peers_add(peers, &odd[i], 0));
		cr_assert_null(volley_peers_get(peers, &odd[i], 0));
		cr_assert_eq(volley_peers_remove(peers, &odd[i]), -ENOENT);
	}
	odd[0] = make(0);
	cr_assert_null(volley_peers_add(NULL, &odd[0], 0));
	cr_assert_null(volley_peers_get(NULL, &odd[0], 0));
	cr_assert_null(volley_peers_add(peers, NULL, 0));
	cr_assert_null(volley_peers_get(peers, NULL, 0));
	cr_assert_eq(volley_peers_remove(NULL, &odd[0]), -EINVAL);
	cr_assert_eq(volley_peers_remove(peers, NULL), -EINVAL);
	cr_assert_eq(volley_peers_expire(NULL, 0, 1), 0);
	cr_assert_eq(volley_peers_get_stats(NULL, &stats), -EINVAL);
	cr_assert_eq(volley_peers_get_stats(peers, NULL), -EINVAL);
	cr_assert_eq(volley_peers_get_stats(peers, &stats), -EINVAL, "too small");
	cr_assert_eq(read_stats(peers).added, 0);
	cr_assert_eq(read_stats(peers).refused, 0, "that is about room");
	volley_peers_free(peers);
	volley_peers_free(NULL);
}
