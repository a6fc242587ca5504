/* SPDX-License-Identifier: MIT */

/*
 * Reading the ledger: sums, size-first structs and the JSON. What the numbers mean is checked
 * wherever something is counted.
 */

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <volley/handover.h>

#include "lib/fault.h"
#include "lib/listeners.h"
#include "lib/loopback.h"
#include "path/worker.h"
#include "server/state.h"

static void on_batch(struct volley_worker *worker, struct volley_packet *packets, size_t n,
		     void *arg)
{
	(void)worker, (void)packets, (void)n, (void)arg;
}

/* A counters' array in which number i is first + i. */
static void number(struct vly_counts *counts, uint64_t first)
{
	uint64_t *all = &counts->rx_datagrams;

	for (size_t i = 0; i < VLY_COUNTS_N; i++)
		all[i] = first + i;
}

static struct volley_server *new_server(uint32_t n_workers)
{
	struct volley_server *server;

	cr_assert_eq(volley_server_new(VOLLEY_CONFIG(.n_workers = n_workers), &server), 0);
	return server;
}

/* As a worker with nothing under way to it from other threads. */
static void publish(struct volley_worker *worker, const struct vly_counts *counts)
{
	worker->remote.gone.n_posted = counts->tx_foreign;
	vly_snapshot_write(&worker->books.own.snapshot, counts);
}

Test(stats, totals_are_the_sums_over_workers)
{
	struct volley_server *server = new_server(3);
	struct volley_stats stats = { .size = sizeof stats };
	const uint64_t *counts = &stats.rx_datagrams;
	struct vly_counts published;

	for (uint32_t w = 0; w < 3; w++) {
		number(&published, 100 * w);
		publish(&server->workers[w], &published);
	}
	cr_assert_eq(volley_server_get_stats(server, &stats), 0);
	cr_assert_eq(stats.memory_bytes, 3 * server->workers[0].memory_bytes);
	for (size_t i = 0; i < VLY_COUNTS_N; i++)
		cr_assert_eq(counts[vly_counts_convert(i)], 300 + 3 * i, "counter %zu", i);
	cr_assert_eq(stats.size, sizeof stats);
	cr_assert_eq(volley_server_get_worker_stats(server, 2, &stats), 0);
	cr_assert_eq(stats.memory_bytes, server->workers[2].memory_bytes);
	for (size_t i = 0; i < VLY_COUNTS_N; i++)
		cr_assert_eq(counts[vly_counts_convert(i)], 200 + i);
	cr_assert_eq(volley_server_get_worker_stats(server, 3, &stats), -EINVAL);
	volley_server_free(server);
}

Test(stats, the_readers_struct_may_be_newer_but_not_no_struct)
{
	struct {
		struct volley_stats stats;
		uint64_t newer[2];
	} larger = { .newer = { 5, 6 } };
	struct volley_server *server = new_server(1);
	struct volley_stats stats = { .size = sizeof stats };
	struct vly_counts published;

	number(&published, 50);
	publish(&server->workers[0], &published);
	larger.stats.size = sizeof larger;
	cr_assert_eq(volley_server_get_stats(server, &larger.stats), 0);
	cr_assert_eq(larger.stats.size, sizeof larger, "the caller's size is the caller's");
	cr_assert_eq(larger.stats.rx_datagrams, 50);
	cr_assert_eq(larger.newer[0], 0, "what we do not know is zero");
	cr_assert_eq(larger.newer[1], 0);

	stats = (struct volley_stats){ .size = 8, .rx_datagrams = 99 };
	cr_assert_eq(volley_server_get_stats(server, &stats), -EINVAL);
	cr_assert_eq(volley_server_get_worker_stats(server, 0, &stats), -EINVAL);
	stats.size = 0;
	cr_assert_eq(volley_server_get_stats(server, &stats), -EINVAL);
	stats.size = 743; /* the first release's is 744 */
	cr_assert_eq(volley_server_get_stats(server, &stats), -EINVAL);
	cr_assert_eq(volley_server_get_carried_stats(server, &stats), -EINVAL);
	stats.size = 1 << 20;
	cr_assert_lt(volley_server_get_stats(server, &stats), 0);
	cr_assert_eq(stats.rx_datagrams, 99, "untouched on failure");
	volley_server_free(server);
}

/* The JSON ------------------------------------------------------------------------------------- */

/* Feed it to a real parser, which also looks for every name of docs/accounting.md. */
static const char checker[] =
	"python3 -c '\n"
	"import json, sys\n"
	"d = json.load(sys.stdin)\n"
	"names = \"rx_datagrams delivered rx_queued held_taken held_replied held_released \"\\\n"
	"  \"held_expired held_abandoned held_now tx_requested tx_sent tx_queued rx_messages \"\\\n"
	"  \"tx_messages discarded_at_close unread enqueued unread_bytes kernel_drops \"\\\n"
	"  \"rx_batches rx_syscalls tx_syscalls tx_segmented tx_healed rx_coalesced \"\\\n"
	"  \"memory_bytes wakes datagrams_exact held_refused tx_foreign\"\n"
	"rx = \"truncated ctrunc ring_full pool_full bad_source expired stopped \"\\\n"
	"  \"copy\"\n"
	"tx = \"EPERM EMSGSIZE ENETUNREACH EHOSTUNREACH EACCES \"\\\n"
	"  \"EINVAL EOTHER refused no_buffer backlog_full timeout stopped\"\n"
	"for o in [d] + d[\"workers\"]:\n"
	"    assert all(n in o for n in names.split()), set(names.split()) - set(o)\n"
	"    assert set(o[\"rx_dropped\"]) == set(rx.split()), o[\"rx_dropped\"]\n"
	"    assert set(o[\"tx_dropped\"]) == set(tx.split()), o[\"tx_dropped\"]\n"
	"assert len(d[\"workers\"]) == 2 and d[\"io\"] == \"mmsg\"\n"
	"assert d[\"schema\"] == 1 and d[\"pid\"] > 1 and d[\"version\"][0].isdigit()\n"
	"assert 0 <= d[\"now\"] - d[\"started\"] < 60 < d[\"started\"]\n"
	"assert d[\"listeners\"] == [], d[\"listeners\"]\n"
	"w = d[\"workers\"]\n"
	"for n in names.split():\n"
	"    if n not in (\"unread\", \"enqueued\", \"unread_bytes\", \"datagrams_exact\"):\n"
	"        assert d[n] == w[0][n] + w[1][n], n\n"
	"for n in tx.split():\n"
	"    s = w[0][\"tx_dropped\"][n] + w[1][\"tx_dropped\"][n]\n"
	"    assert d[\"tx_dropped\"][n] == s > 0, n\n"
	"flat = [v for v in w[1].values() if isinstance(v, int) and v >= 2**60]\n"
	"assert len(flat) >= 16, flat\n"
	"'";

Test(stats, json_has_every_name_and_the_totals)
{
	struct volley_server *server;
	struct vly_counts published;
	char *text;
	FILE *pipe;
	int n;

	cr_assert_eq(volley_server_new(VOLLEY_CONFIG(.n_workers = 2, .io = "mmsg"), &server), 0);
	number(&published, 1);
	publish(&server->workers[0], &published);
	number(&published, UINT64_C(1) << 60);
	publish(&server->workers[1], &published);
	n = volley_server_format_stats(server, NULL, 0);
	cr_assert_gt(n, 0);
	text = malloc((size_t)n + 1);
	cr_assert_eq(volley_server_format_stats(server, text, (size_t)n + 1), n);
	cr_assert_eq(strlen(text), (size_t)n);
	pipe = popen(checker, "w");
	cr_assert_not_null(pipe);
	cr_assert_eq(fwrite(text, 1, (size_t)n, pipe), (size_t)n);
	cr_assert_eq(pclose(pipe), 0, "python3 does not like %s", text);
	free(text);
	volley_server_free(server);
}

/* The only number that no two calls agree about. */
static void blank_now(char *text)
{
	char *now = strstr(text, "\"now\": ");

	for (char *at = now != NULL ? now + 7 : NULL; at != NULL && *at != '\0' && *at != ','; at++)
		*at = ' ';
}

Test(stats, json_is_cut_where_the_room_ends)
{
	struct volley_server *server = new_server(2);
	char whole[16384], cut[16384];
	int n = volley_server_format_stats(server, whole, sizeof whole);

	blank_now(whole);
	cr_assert_lt(n, (int)sizeof whole);
	for (size_t room = 1; room <= (size_t)n + 1; room += room < 64 ? 1 : 97) {
		memset(cut, '#', sizeof cut);
		cr_assert_eq(volley_server_format_stats(server, cut, room), n);
		cr_assert_eq(strlen(cut), room - 1);
		blank_now(cut);
		cr_assert_arr_eq(cut, whole, room - 1);
		cr_assert_eq(cut[room], '#', "written beyond the room");
	}
	memset(cut, '#', sizeof cut);
	cr_assert_eq(volley_server_format_stats(server, cut, 0), n);
	cr_assert_eq(cut[0], '#');
	volley_server_free(server);
}

Test(stats, json_needs_memory)
{
	struct volley_server *server = new_server(1);

	fault_arm(FAULT_ALIGNED_ALLOC, 1, ENOMEM);
	cr_assert_eq(volley_server_format_stats(server, NULL, 0), -ENOMEM);
	cr_assert_eq(fault_disarm(), 1);
	cr_assert_gt(volley_server_format_stats(server, NULL, 0), 0);
	volley_server_free(server);
}

Test(stats, unread_bytes_are_the_kernels)
{
	struct volley_server *server = new_server(1);
	struct volley_stats stats = { .size = sizeof stats };
	int fd = loopback_open("127.0.0.1:0", NULL);
	char text[8192];

	cr_assert_eq(volley_server_listen(server, "127.0.0.1:0",
					  VOLLEY_LISTEN(.on_batch = on_batch), NULL),
		     0);
	volley_server_format_stats(server, text, sizeof text);
	cr_assert_not_null(strstr(text, "\"unread\": 0,"));
	loopback_send(fd, LISTENER_ADDR(server, 0), 1, 9);
	cr_assert_eq(loopback_wait(vly_socks_get(&server->workers[0].socks, 0)->fd), 1);
	cr_assert_eq(volley_server_get_stats(server, &stats), 0);
	cr_assert_gt(stats.unread_bytes, 9);
	volley_server_format_stats(server, text, sizeof text);
	cr_assert_not_null(strstr(text, "\"unread\": null,"));
	cr_assert_eq(volley_server_close(server), 0);
	cr_assert_eq(volley_server_get_stats(server, &stats), 0);
	cr_assert_eq(stats.discarded_at_close, 1);
	cr_assert_eq(stats.unread_bytes, 0);
	volley_server_free(server);
	close(fd);
}

/* The kernel's counter has 32 bits and ours go on. */
Test(stats, kernel_drops_are_added_up_past_the_wrap)
{
	struct volley_server *server = new_server(1);
	struct volley_stats stats = { .size = sizeof stats };
	struct vly_sock *sock;

	cr_assert_eq(volley_server_listen(server, "127.0.0.1:0",
					  VOLLEY_LISTEN(.on_batch = on_batch), NULL),
		     0);
	/* As if all but three of 2^32 had been seen, and now the counter is back at 0. */
	sock = vly_socks_get(&server->workers[0].socks, 0);
	sock->drops.total = UINT32_MAX - 2;
	sock->drops.seen = UINT32_MAX - 2;
	cr_assert_eq(volley_server_get_stats(server, &stats), 0);
	cr_assert_eq(stats.kernel_drops, UINT64_C(1) << 32);
	/* Reading it again adds nothing. */
	cr_assert_eq(volley_server_get_worker_stats(server, 0, &stats), 0);
	cr_assert_eq(stats.kernel_drops, UINT64_C(1) << 32);
	volley_server_free(server);
}
