/* SPDX-License-Identifier: MIT */

/*
 * The same random script of sends through the send engine and through one sendto per datagram: the
 * receivers get the same datagrams, from the same addresses and in the same order for each of them,
 * and every datagram that failed is counted under the errno that it has alone. Grouped by size, the
 * order may differ; among equally long datagrams it must not.
 *
 * With full queues (a slow qdisc) the reference has nothing to say; there, what came must be what
 * was sent less what the kernel says that it dropped behind our back, in order.
 *
 *	differential [--long] [--scripts N] [--seed N]
 *
 * Script i of a run has seed SEED + i; one that fails is reported with its own seed, and `--scripts
 * 1 --seed THAT` repeats it alone.
 */

#include <inttypes.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include <volley/error.h>

#include "lib/check.h"
#include "lib/namespace.h"
#include "send/receivers.h"
#include "send/subject.h"
#include "sys/clock.h"

enum { N_SCRIPTS = 5000, N_SCRIPTS_LONG = 100000, N_SLOW = 100, MAX_FAILURES = 5 };

/* Of the scripts are repeated with grouping by size; all of a few. */
enum { N_BY_SIZE_PART = 5, N_BY_SIZE = 100 };

static struct {
	struct script_world world;
	struct script script;
	struct inboxes got;
	struct inboxes expected;
	uint64_t n_sends;
	uint64_t n_bad;
	uint64_t n_sent;
	uint64_t n_segmented; /* datagrams that left in company */
	uint64_t n_healed;
	uint64_t n_errors; /* SndbufErrors, with full queues */
	uint64_t dropped[VOLLEY_TX_N_DROPS];
} run;

static bool fail(uint64_t seed, const char *what, uint64_t a, uint64_t b)
{
	CHECK(!"the same as one sendto per datagram");
	fprintf(stderr, "seed %" PRIu64 ": %s: %" PRIu64 " and %" PRIu64 "\n", seed, what, a, b);
	return false;
}

/*
 * Stable, by length: what a sender that may reorder different lengths has in common with one that
 * does not. Insertion sort, since a script has few datagrams for one receiver.
 */
static void sort_inbox(struct inbox *inbox)
{
	for (uint32_t i = 1; i < inbox->n; i++) {
		struct received one = inbox->list[i];
		uint32_t k = i;

		for (; k > 0 && inbox->list[k - 1].len > one.len; k--)
			inbox->list[k] = inbox->list[k - 1];
		inbox->list[k] = one;
	}
}

static bool is_same_inbox(const struct inbox *a, const struct inbox *b)
{
	return a->n == b->n && memcmp(a->list, b->list, a->n * sizeof a->list[0]) == 0;
}

/* Counters that grew from a to b must have grown as the reference's did. */
static bool compare_counts(uint64_t seed, const struct volley_stats *a,
			   const struct volley_stats *b, const struct volley_stats *expected)
{
	if (b->tx_requested - a->tx_requested != expected->tx_requested)
		return fail(seed, "tx_requested", b->tx_requested - a->tx_requested,
			    expected->tx_requested);
	for (int i = 0; i < VOLLEY_TX_N_DROPS; i++) {
		uint64_t n = b->tx_dropped[i] - a->tx_dropped[i];

		run.dropped[i] += n;
		if (n != expected->tx_dropped[i]) {
			fprintf(stderr, "tx_dropped[%d]: ", i);
			return fail(seed, "dropped", n, expected->tx_dropped[i]);
		}
	}
	if (b->tx_sent - a->tx_sent != expected->tx_sent)
		return fail(seed, "tx_sent", b->tx_sent - a->tx_sent, expected->tx_sent);
	return true;
}

static void add_totals(const struct volley_stats *a, const struct volley_stats *b)
{
	uint64_t n_alone = b->tx_messages - a->tx_messages - (b->tx_segmented - a->tx_segmented);

	run.n_sends += run.script.n_sends;
	run.n_bad += run.script.n_bad;
	run.n_sent += b->tx_sent - a->tx_sent;
	run.n_segmented += b->tx_sent - a->tx_sent - n_alone;
	run.n_healed += b->tx_healed - a->tx_healed;
}

static bool compare(struct subject *subject, struct reference *reference, bool by_size,
		    uint64_t seed)
{
	struct volley_stats expected = { .size = sizeof expected };
	struct volley_stats before = subject_stats(subject);
	struct volley_stats after;

	script_make(&run.script, &run.world, seed);
	subject_run(subject, &run.script);
	after = subject_stats(subject);
	receivers_clear(&run.got);
	receivers_read(&run.got, (uint32_t)(after.tx_sent - before.tx_sent));
	reference_run(reference, &run.script, &expected);
	receivers_clear(&run.expected);
	receivers_read(&run.expected, (uint32_t)expected.tx_sent);
	add_totals(&before, &after);
	if (!compare_counts(seed, &before, &after, &expected))
		return false;
	for (uint32_t i = 0; i < RECEIVERS_N_INBOXES; i++) {
		if (by_size) {
			sort_inbox(&run.got.of[i]);
			sort_inbox(&run.expected.of[i]);
		}
		if (!is_same_inbox(&run.got.of[i], &run.expected.of[i]))
			return fail(seed, "received by this receiver", i, run.got.of[i].n);
	}
	if (run.got.n != expected.tx_sent)
		return fail(seed, "received and sent", run.got.n, expected.tx_sent);
	CHECK(true);
	return true;
}

static void run_fast(uint64_t n, uint64_t seed, uint32_t flags)
{
	struct subject *subject = subject_open(&run.world, flags);
	struct reference *reference = reference_open(&run.world);
	bool by_size = flags & VOLLEY_LISTEN_GROUP_BY_SIZE;
	int n_failures = 0;

	run.n_sends = run.n_bad = run.n_sent = run.n_segmented = run.n_healed = 0;
	memset(run.dropped, 0, sizeof run.dropped);
	for (uint64_t i = 0; i < n && n_failures < MAX_FAILURES; i++)
		n_failures += !compare(subject, reference, by_size, seed + i);
	CHECK_EQ(receivers_n_dropped(), 0);
	reference_close(reference);
	subject_close(subject);
	printf("%s: %" PRIu64 " scripts, %" PRIu64 " datagrams to send, %.1f %% of them bad, "
	       "%.1f %% of the sent ones segmented, %" PRIu64 " messages healed; dropped by errno:",
	       by_size ? "by size" : "in order", n, run.n_sends,
	       100.0 * (double)run.n_bad / (double)run.n_sends,
	       100.0 * (double)run.n_segmented / (double)run.n_sent, run.n_healed);
	for (int i = 0; i < VOLLEY_TX_N_DROPS; i++)
		printf(" %" PRIu64, run.dropped[i]);
	printf("\n");
	if (n < 100)
		return; /* too few to say anything about the mixture */
	CHECK(run.n_bad * 10 >= run.n_sends);
	CHECK(run.n_segmented * 10 >= run.n_sent * 4);
	CHECK(run.n_healed > 0);
	CHECK(run.dropped[VOLLEY_TX_EPERM] > 0 && run.dropped[VOLLEY_TX_EMSGSIZE] > 0 &&
	      run.dropped[VOLLEY_TX_ENETUNREACH] > 0 && run.dropped[VOLLEY_TX_EHOSTUNREACH] > 0 &&
	      run.dropped[VOLLEY_TX_EACCES] > 0 && run.dropped[VOLLEY_TX_EINVAL] > 0 &&
	      run.dropped[VOLLEY_TX_REFUSED] > 0);
}

/* Full queues ---------------------------------------------------------------------------------- */

/* Messages that the qdisc of lo had no room for. */
static uint64_t count_qdisc_drops(void)
{
	FILE *pipe = popen("tc -s qdisc show dev lo", "re");
	unsigned long long n = 0;
	char line[256];

	while (pipe != NULL && fgets(line, sizeof line, pipe) != NULL) {
		const char *dropped = strstr(line, "dropped ");

		if (dropped != NULL)
			n += strtoull(dropped + strlen("dropped "), NULL, 10);
	}
	if (pipe != NULL)
		pclose(pipe);
	return n;
}

/* The datagrams of the script for each receiver, in order: what a perfect network delivers. */
static void expect_all(void)
{
	static uint8_t data[SCRIPT_MAX_BYTES];

	for (uint32_t i = 0; i < RECEIVERS_N_INBOXES; i++)
		run.expected.of[i].n = 0;
	for (uint32_t v = 0; v < run.script.n_volleys; v++) {
		const struct script_volley *volley = &run.script.volleys[v];

		for (uint32_t k = 0; k < volley->n_bursts; k++) {
			const struct script_burst *burst = &volley->bursts[k];
			struct inbox *inbox = &run.expected.of[receivers_find(
				burst->peer, volley->listener, &burst->local)];

			script_fill(burst, data);
			for (uint32_t d = 0; d < script_count(burst); d++) {
				uint32_t len = script_len(burst, d);

				inbox->list[inbox->n++] = (struct received){
					.len = len,
					.hash = receivers_hash(
						data + (size_t)d * burst->segment_bytes, len),
				};
			}
		}
	}
}

/*
 * What came is what was sent, in its order, less whole messages. Returns how many are missing, or
 * -1 when something else came.
 */
static int count_missing(struct subject *subject)
{
	uint32_t n_seen[RECEIVERS_N_INBOXES] = { 0 }; /* of what came */
	uint32_t n_sent[RECEIVERS_N_INBOXES] = { 0 };
	const struct subject_message *messages;
	uint32_t n_came = 0;
	int n_missing = 0;
	uint32_t n;

	messages = subject_messages(subject, &n);
	for (uint32_t i = 0; i < n; i++) {
		uint32_t k = messages[i].inbox;
		const struct inbox *got = &run.got.of[k];
		const struct inbox *sent = &run.expected.of[k];
		uint32_t n_datagrams = messages[i].n;

		if (n_sent[k] + n_datagrams > sent->n)
			return -1;
		if (n_seen[k] + n_datagrams <= got->n &&
		    memcmp(&got->list[n_seen[k]], &sent->list[n_sent[k]],
			   n_datagrams * sizeof got->list[0]) == 0) {
			n_seen[k] += n_datagrams;
			n_came += n_datagrams;
		} else {
			n_missing++;
		}
		n_sent[k] += n_datagrams;
	}
	return n_came == run.got.n ? n_missing : -1;
}

static const struct slow_case {
	const char *name;
	const char *qdisc;
	uint32_t flags;
	int sndbuf_bytes; /* 0: the library's */
	bool loses;       /* below the socket */
} slow_cases[] = {
	/* Room below, none in the socket: everything waits in the backlog and nothing is lost. */
	{ "EAGAIN, segmented", "tbf rate 100mbit burst 70k limit 4m", 0, 4608, false },
	{ "EAGAIN, plain", "tbf rate 100mbit burst 70k limit 4m", VOLLEY_LISTEN_NO_COALESCE, 4608,
	  false },
	/*
	 * The other way round: the kernel accepts messages and loses them. The burst is larger than
	 * any message of the script, or tbf would cut them up and lose parts of them.
	 */
	{ "full qdisc, segmented", "tbf rate 100mbit burst 70k limit 20k", 0, 0, true },
	{ "full qdisc, plain", "tbf rate 100mbit burst 70k limit 20k", VOLLEY_LISTEN_NO_COALESCE, 0,
	  true },
};

/* Read until nothing is missing but what the kernel says it lost; how many messages are missing. */
static int read_slow(struct subject *subject, int n_lost)
{
	uint32_t n;

	receivers_clear(&run.got);
	do {
		n = run.got.n;
		receivers_read(&run.got, n + 1);
		/* -1: a message of which only some datagrams are here yet, among others. */
	} while (run.got.n > n && count_missing(subject) != n_lost);
	return count_missing(subject);
}

static void run_slow_script(struct subject *subject, const struct slow_case *slow, uint64_t seed)
{
	struct volley_stats before = subject_stats(subject);
	uint64_t errors = namespace_snmp("Udp", "SndbufErrors");
	struct volley_stats after;
	uint64_t n_sent;
	int n_missing;

	script_make(&run.script, &run.world, seed);
	subject_run(subject, &run.script);
	after = subject_stats(subject);
	errors = namespace_snmp("Udp", "SndbufErrors") - errors;
	n_sent = after.tx_sent - before.tx_sent;
	expect_all();
	n_missing = read_slow(subject, slow->loses ? (int)errors : 0);
	CHECK_EQ(after.tx_requested - before.tx_requested, run.script.n_sends);
	CHECK_EQ(n_sent, run.script.n_sends); /* it has ten seconds: nothing times out */
	if (!CHECK(n_missing == (slow->loses ? (int)errors : 0)))
		fprintf(stderr,
			"%s, seed %" PRIu64 ": %u of %" PRIu64 " came, missing %d messages, "
			"SndbufErrors %" PRIu64 "\n",
			slow->name, seed, run.got.n, n_sent, n_missing, errors);
	run.n_sent += n_sent;
	run.n_errors += errors;
}

static void run_slow(const struct slow_case *slow, uint64_t n, uint64_t seed)
{
	uint64_t begin_ns = vly_clock_get_ns();
	struct subject *subject;
	struct volley_stats stats;
	uint64_t n_lost;

	if (!namespace_run("tc qdisc replace dev lo root %s", slow->qdisc)) {
		SKIP("no tbf here");
		return;
	}
	run.world.slow = true;
	run.n_sent = run.n_errors = 0;
	subject = subject_open(&run.world, slow->flags);
	if (slow->sndbuf_bytes > 0)
		subject_set_sndbuf(subject, slow->sndbuf_bytes);
	for (uint64_t i = 0; i < n; i++)
		run_slow_script(subject, slow, seed + i);
	stats = subject_stats(subject);
	n_lost = count_qdisc_drops();
	printf("%s: %" PRIu64 " datagrams in %" PRIu64 " messages, %" PRIu64
	       " segmented, SndbufErrors "
	       "%" PRIu64 ", %" PRIu64 " lost by the qdisc, %.1f s\n",
	       slow->name, run.n_sent, stats.tx_messages, stats.tx_segmented, run.n_errors, n_lost,
	       (double)(vly_clock_get_ns() - begin_ns) / 1e9);
	CHECK_EQ(n_lost, slow->loses ? run.n_errors : 0);
	CHECK((stats.tx_segmented > 0) == !(slow->flags & VOLLEY_LISTEN_NO_COALESCE));
	if (n == N_SLOW)
		CHECK(run.n_errors > 0); /* the queue was full, or nothing was shown */
	subject_close(subject);
	namespace_run("tc qdisc del dev lo root");
}

/*
 * The kernel keeps the order of what one CPU sends. lo puts a datagram into the backlog of the CPU
 * that took it from the qdisc, so a sender that the scheduler moves between two sends may see the
 * second one arrive first, and the qdisc's timer may run on the CPU that was left.
 */
static void stay_on_this_cpu(void)
{
	cpu_set_t cpus;

	CPU_ZERO(&cpus);
	CPU_SET((size_t)sched_getcpu(), &cpus);
	REQUIRE(sched_setaffinity(0, sizeof cpus, &cpus) == 0);
}

int main(int argc, char **argv)
{
	uint64_t n = N_SCRIPTS;
	uint64_t seed = 1;
	uint64_t begin_ns = vly_clock_get_ns();

	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--long") == 0)
			n = N_SCRIPTS_LONG;
		else if (strcmp(argv[i], "--scripts") == 0 && i + 1 < argc)
			n = strtoull(argv[++i], NULL, 10);
		else if (strcmp(argv[i], "--seed") == 0 && i + 1 < argc)
			seed = strtoull(argv[++i], NULL, 10);
		else
			return 2;
	}
	if (!namespace_enter() || !script_prepare_network()) {
		SKIP("needs a network namespace, nft and route types");
		return check_done();
	}
	stay_on_this_cpu();
	printf("seeds from %" PRIu64 "\n", seed);
	receivers_open(&run.world);
	run_fast(n, seed, 0);
	run_fast(n < N_BY_SIZE ? n : n / N_BY_SIZE_PART, seed, VOLLEY_LISTEN_GROUP_BY_SIZE);
	for (size_t i = 0; i < sizeof slow_cases / sizeof slow_cases[0]; i++)
		run_slow(&slow_cases[i], n < N_SLOW ? n : N_SLOW, seed);
	printf("%.1f s\n", (double)(vly_clock_get_ns() - begin_ns) / 1e9);
	return check_done();
}
