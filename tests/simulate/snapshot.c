/* SPDX-License-Identifier: MIT */

/* What any thread may read of the books at any time, and that it is true each time. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/ledger.h"
#include "play.h"

/* What may sink. */
static bool may_sink(size_t offset)
{
	return offset == offsetof(struct volley_stats, size) ||
	       offset == offsetof(struct volley_stats, rx_queued) ||
	       offset == offsetof(struct volley_stats, tx_queued) ||
	       offset == offsetof(struct volley_stats, held_now) ||
	       offset == offsetof(struct volley_stats, unread_bytes) ||
	       offset == offsetof(struct volley_stats, memory_bytes);
}

static void judge(const char *whose, const struct volley_stats *now, struct volley_stats *before)
{
	const char *fault = ledger_find_fault(now);

	if (fault != NULL)
		world_blame("a snapshot of %s: %s", whose, fault);
	for (size_t at = 0; before != NULL && at < sizeof *now; at += sizeof(uint64_t)) {
		uint64_t a, b;

		memcpy(&a, (const char *)before + at, sizeof a);
		memcpy(&b, (const char *)now + at, sizeof b);
		if (b < a && !may_sink(at))
			world_blame("%s: counter %zu goes back from %llu to %llu", whose,
				    at / sizeof a, (unsigned long long)a, (unsigned long long)b);
	}
	if (before != NULL)
		*before = *now;
}

/* Braces and brackets in pairs, outside of strings. */
static bool is_json(const char *text, size_t n)
{
	char open[64];
	uint32_t depth = 0;
	bool in_string = false;

	for (size_t i = 0; i < n; i++) {
		char c = text[i];

		if (in_string && c == '\\')
			i++;
		else if (c == '"')
			in_string = !in_string;
		else if (!in_string && (c == '{' || c == '['))
			open[depth++ % 64] = c;
		else if (!in_string && (c == '}' || c == ']')) {
			if (depth == 0 || open[--depth % 64] != (c == '}' ? '{' : '['))
				return false;
			if (depth == 0)
				return i + 1 == n || text[i + 1] == '\n';
		}
	}
	return false;
}

static void look_at_text(struct play *play)
{
	enum { N_ROOM = 1 << 15 };
	char *text = malloc(N_ROOM);
	size_t n_room = world_pick(2) ? N_ROOM : world_pick(300);
	int n;

	if (text == NULL)
		return;
	memset(text, '#', N_ROOM);
	n = volley_server_format_stats(play->server, text, n_room);
	if (n < 0 && n != -ENOMEM)
		world_blame("format_stats: %d", n);
	if (n >= N_ROOM)
		world_blame("format_stats says that it needs %d bytes", n);
	else if (n >= 0 && n_room == N_ROOM &&
		 (strlen(text) != (size_t)n || !is_json(text, (size_t)n)))
		world_blame("what format_stats writes is no JSON");
	if (n >= 0 && n_room > 0 && memchr(text, '\0', n_room) == NULL)
		world_blame("format_stats does not end its text");
	if (n_room < N_ROOM && text[n_room] != '#')
		world_blame("format_stats writes beyond its room");
	free(text);
}

static void look_at_listener(struct play *play, uint32_t i)
{
	struct volley_stats stats = { .size = sizeof stats };
	struct volley_addr addr;
	int r;

	if (!play->listens[i] || play->changes[i])
		return;
	play->n_looks[i]++;
	r = volley_listener_get_addr(play->server, play->handles[i], &addr);
	if (r == 0) {
		if (volley_listener_get_stats(play->server, play->handles[i], &stats) == 0) {
			stats.rx_syscalls = stats.rx_batches; /* the workers' */
			judge("a listener", &stats, NULL);
		}
		if (!volley_addr_is_equal(&addr, &play->bound[i]))
			world_blame("a listener has another address");
	} else if (!play->is_settling) {
		world_blame("a listener is not there: %d", r);
	}
	play->n_looks[i]--;
}

void play_look(struct play *play, struct snapshots *snapshots)
{
	struct volley_stats stats = { .size = sizeof stats };
	uint32_t worker = world_pick(play->config.n_workers < 4 ? play->config.n_workers : 4);

	switch (world_pick(6)) {
	case 0:
		if (volley_server_get_worker_stats(play->server, worker, &stats) == 0)
			judge("a worker", &stats, &snapshots->workers[worker]);
		break;
	case 1:
		look_at_text(play);
		break;
	case 2:
		look_at_listener(play, world_pick(N_LISTENERS));
		break;
	case 3:
		if (volley_server_count_sharers(play->server) != 0)
			world_blame("somebody shares the sockets");
		if (volley_server_get_carried_stats(play->server, &stats) != 0 ||
		    stats.rx_datagrams != 0)
			world_blame("something was carried over");
		break;
	default:
		if (volley_server_get_stats(play->server, &stats) == 0)
			judge("the server", &stats, &snapshots->server);
		break;
	}
}

/* At rest: the workers are the server. */
void play_judge_sums(struct play *play)
{
	struct volley_stats server = { .size = sizeof server };
	struct volley_stats sum = { 0 };

	volley_server_get_stats(play->server, &server);
	for (uint32_t i = 0; i < play->config.n_workers; i++) {
		struct volley_stats own = { .size = sizeof own };

		if (volley_server_get_worker_stats(play->server, i, &own) < 0)
			world_blame("a worker has no statistics");
		for (size_t at = sizeof own.size; at < sizeof own; at += sizeof(uint64_t)) {
			uint64_t a, b;

			memcpy(&a, (char *)&sum + at, sizeof a);
			memcpy(&b, (char *)&own + at, sizeof b);
			a += b;
			memcpy((char *)&sum + at, &a, sizeof a);
		}
	}
	for (size_t at = sizeof sum.size; at < sizeof sum; at += sizeof(uint64_t))
		if (memcmp((char *)&sum + at, (char *)&server + at, sizeof(uint64_t)) != 0)
			world_blame("counter %zu of the server is not the sum of its workers'",
				    at / sizeof(uint64_t));
}
