/* SPDX-License-Identifier: MIT */

/*
 * The JSON balances at each look while listeners close and other threads send by them: listeners,
 * closed and carried add up to the total, and no counter is negative, which reads as one that is
 * beyond all that was ever sent.
 */

#include "bounds.h"
#include "sending.h"

enum { LOOK_MS = 1500, N_PEERS = 16, N_SENDERS = 2 };

static struct volley_server *server;
static struct volley_addr peers[N_PEERS];
static _Atomic uint64_t target; /* the id of a listener that comes and goes */
static atomic_bool is_over;

/* Mail piles up behind it, so that a close meets sends that are on their way. */
static void be_busy(struct volley_worker *worker, void *arg)
{
	(void)arg;
	bounds_be_slow(1000 + 4000 * volley_worker_get_index(worker));
}

static void *post_forever(void *arg)
{
	while (!atomic_load(&is_over)) {
		volley_server_post(server, be_busy, NULL);
		bounds_be_slow(5000);
	}
	return arg;
}

static void *send_forever(void *arg)
{
	for (unsigned int i = 0; !atomic_load(&is_over); i++) {
		struct volley_listener listener = { .id = atomic_load(&target) };

		if (listener.id != 0)
			volley_server_send(server, listener, &peers[i % N_PEERS], "x", 1, NULL);
		if (i % 8 == 0)
			bounds_be_slow(100);
	}
	return arg;
}

static void *close_forever(void *arg)
{
	while (!atomic_load(&is_over)) {
		struct volley_listener listener;

		REQUIRE(volley_server_listen(server, "127.0.0.1:0", VOLLEY_LISTEN(.on_batch = echo),
					     &listener) == 0);
		atomic_store(&target, listener.id);
		bounds_be_slow(5000);
		CHECK_EQ(volley_listener_close(server, listener), 0);
	}
	return arg;
}

static uint64_t read_number(const char **at, const char *name)
{
	*at = strstr(*at, name);
	REQUIRE(*at != NULL);
	*at += strlen(name);
	return strtoull(*at, NULL, 10);
}

/* One counter: the total first, then those of the parts. The workers are another way to add up. */
static bool adds_up(const char *json, const char *name)
{
	const char *at = json;
	const char *workers = strstr(json, "\"workers\": ");
	const char *listeners = strstr(json, "\"listeners\": ");
	uint64_t total = read_number(&at, name);
	uint64_t sum = read_number(&at, name); /* carried */
	bool is_sane = true;

	REQUIRE(workers != NULL && listeners != NULL && at < workers);
	for (at = listeners; strstr(at, name) != NULL;) {
		uint64_t n = read_number(&at, name);

		is_sane = is_sane && n <= total;
		sum += n;
	}
	if (sum != total || !is_sane)
		fprintf(stderr, "%s total %ju, sum %ju:%s\n", name, (uintmax_t)total,
			(uintmax_t)sum, strstr(json, "\"closed\": "));
	return sum == total && is_sane;
}

static bool look(void)
{
	static const char *const names[] = {
		"\"tx_requested\": ", "\"tx_sent\": ",
		"\"tx_queued\": ",    "\"tx_foreign\": ",
		"\"delivered\": ",    "\"kernel_drops\": ",
		"\"no_buffer\": ",    "\"timeout\": 0, \"stopped\": ",
	};
	static char json[1 << 17];
	bool holds = true;
	int n = volley_server_format_stats(server, json, sizeof json);

	REQUIRE(n > 0 && n < (int)sizeof json);
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
		holds = adds_up(json, names[i]) && holds;
	return holds;
}

int main(void)
{
	pthread_t threads[2 + N_SENDERS];
	double begin_ms;
	int n_looks = 0;
	int fd;

	promise_begin(10);
	fd = receiver_open(&peers[0]);
	for (uint32_t i = 1; i < N_PEERS; i++) { /* for both workers */
		peers[i] = peers[0];
		peers[i].in.sin_addr.s_addr = htonl(INADDR_LOOPBACK + i);
	}
	REQUIRE(volley_server_new(VOLLEY_CONFIG(.n_workers = 2), &server) == 0);
	REQUIRE(volley_server_listen(server, "127.0.0.1:0", VOLLEY_LISTEN(.on_batch = echo),
				     NULL) == 0);
	REQUIRE(volley_server_start(server) == 0);
	REQUIRE(pthread_create(&threads[0], NULL, post_forever, NULL) == 0);
	REQUIRE(pthread_create(&threads[1], NULL, close_forever, NULL) == 0);
	for (int i = 0; i < N_SENDERS; i++)
		REQUIRE(pthread_create(&threads[2 + i], NULL, send_forever, NULL) == 0);
	begin_ms = bounds_now_ms();
	while (bounds_now_ms() - begin_ms < LOOK_MS && CHECK(look()))
		n_looks++;
	atomic_store(&is_over, true);
	for (int i = 0; i < 2 + N_SENDERS; i++)
		REQUIRE(pthread_join(threads[i], NULL) == 0);
	CHECK(n_looks > 0 && look());
	CHECK_EQ(volley_server_stop(server), 0);
	CHECK(look() && is_balanced(server));
	volley_server_free(server);
	close(fd);
	return check_done();
}
