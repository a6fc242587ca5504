/* SPDX-License-Identifier: MIT */

/*
 * What one query costs volley-dns itself, without sockets: a zone of N names in memory, queries for
 * names in random order, walked in the three passes of serve.c.
 *
 *	dns-lookup N_NAMES N_QUERIES
 *
 * prints one JSON object: load time, memory beside the text, and nanoseconds of CPU per query. For
 * instructions: valgrind --tool=callgrind --toggle-collect=answer_all
 */

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "../../examples/dns/answer.h"
#include "../../examples/dns/serve.h"
#include "../../examples/dns/zone_file.h"

enum { QUERY_BYTES = 64, LINE_BYTES = 64, ROOM = 2048 };

struct run {
	struct dns_responder responder;
	uint8_t (*packets)[QUERY_BYTES];
	uint8_t *lengths;
	size_t n_queries;
	uint64_t n_bytes; /* of the answers, so that none is optimised away */
	const struct dns_zone *zones[DNS_N_TOGETHER];
	struct dns_query queries[DNS_N_TOGETHER];
	uint8_t out[ROOM];
};

static double now(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static long resident_bytes(void)
{
	FILE *file = fopen("/proc/self/statm", "r");
	long pages = 0;

	if (file == NULL || fscanf(file, "%*s %ld", &pages) != 1)
		pages = 0;
	if (file != NULL)
		fclose(file);
	return pages * sysconf(_SC_PAGESIZE);
}

static void answer_together(struct run *run, size_t first)
{
	const struct volley_addr peer = { .in = { .sin_family = AF_INET }, .len = 16 };

	for (size_t i = 0; i < DNS_N_TOGETHER; i++) {
		dns_query_parse(&run->queries[i], run->packets[first + i], run->lengths[first + i],
				&run->responder.key);
		run->zones[i] = dns_answer_find_zone(&run->responder, &run->queries[i]);
		dns_zone_prefetch_slot(run->zones[i], &run->queries[i].name);
	}
	for (size_t i = 0; i < DNS_N_TOGETHER; i++)
		dns_zone_prefetch_node(run->zones[i], &run->queries[i].name);
	for (size_t i = 0; i < DNS_N_TOGETHER; i++) {
		struct dns_request request = { .query = &run->queries[i],
					       .zone = run->zones[i],
					       .packet = run->packets[first + i],
					       .peer = &peer };
		struct dns_answer answer;

		run->n_bytes += dns_answer(&run->responder, &request, run->out,
					   dns_answer_limit(&run->queries[i]), &answer);
	}
}

__attribute__((noinline)) static void answer_all(struct run *run)
{
	for (size_t i = 0; i + DNS_N_TOGETHER <= run->n_queries; i += DNS_N_TOGETHER)
		answer_together(run, i);
}

static char *make_text(size_t n_names, size_t *ret_n)
{
	char *text = malloc((n_names + 4) * LINE_BYTES);
	size_t n = 0;

	if (text == NULL)
		return NULL;
	n += (size_t)sprintf(text + n,
			     "$TTL 3600\n@ SOA ns h 1 2 3 4 5\n@ NS ns\nns A 192.0.2.1\n");
	for (size_t i = 0; i < n_names; i++)
		n += (size_t)sprintf(text + n, "host%07zu A 10.%zu.%zu.%zu\n", i, i >> 16 & 255,
				     i >> 8 & 255, i & 255);
	*ret_n = n;
	return text;
}

static bool make_queries(struct run *run, size_t n_names)
{
	static const uint8_t end[] = "\5bench\4test\0\0\1\0\1";
	uint64_t random = 88172645463325252u;

	run->packets = calloc(run->n_queries, QUERY_BYTES);
	run->lengths = calloc(run->n_queries, 1);
	if (run->packets == NULL || run->lengths == NULL)
		return false;
	for (size_t i = 0; i < run->n_queries; i++) {
		uint8_t *packet = run->packets[i];

		random ^= random << 13;
		random ^= random >> 7;
		random ^= random << 17;
		packet[5] = 1;
		packet[12] = 11;
		sprintf((char *)packet + 13, "host%07zu", (size_t)(random % n_names));
		memcpy(packet + 24, end, sizeof end - 1);
		run->lengths[i] = (uint8_t)(24 + sizeof end - 1);
	}
	return true;
}

int main(int argc, char **argv)
{
	size_t n_names = argc == 3 ? strtoul(argv[1], NULL, 10) : 0;
	struct run *run = calloc(1, sizeof *run);
	char why[DNS_WHY_BYTES];
	uint8_t apex[DNS_NAME_MAX];
	struct dns_catalog *catalog;
	struct dns_zone *zone;
	double begin, begin_cpu, loaded, loaded_cpu;
	size_t n_text;
	char *text;
	long before;

	if (run == NULL || n_names == 0) {
		fprintf(stderr, "usage: dns-lookup N_NAMES N_QUERIES\n");
		return 2;
	}
	run->n_queries = strtoul(argv[2], NULL, 10);
	run->responder.key = (struct dns_hash_key){ { 0x243f6a8885a308d3, 0x13198a2e03707345 } };
	text = make_text(n_names, &n_text);
	if (text == NULL || !make_queries(run, n_names))
		return 1;
	before = resident_bytes();
	begin = now(CLOCK_MONOTONIC);
	begin_cpu = now(CLOCK_THREAD_CPUTIME_ID);
	dns_zone_file_name("bench.test", apex);
	if (dns_zone_file_load_text(text, n_text, apex, &run->responder.key, &zone, why)) {
		fprintf(stderr, "dns-lookup: %s\n", why);
		return 1;
	}
	loaded = now(CLOCK_MONOTONIC) - begin;
	loaded_cpu = now(CLOCK_THREAD_CPUTIME_ID) - begin_cpu;
	catalog = dns_catalog_new(&zone, 1);
	if (catalog == NULL)
		return 1;
	dns_answer_set_catalog(&run->responder, catalog);
	printf("{\"names\": %zu, \"load_s\": %.3f, \"load_cpu_s\": %.3f, "
	       "\"text_bytes\": %zu, \"zone_bytes\": %zu, "
	       "\"resident_bytes\": %ld, ",
	       n_names, loaded, loaded_cpu, n_text,
	       zone->n_base + (zone->n_slots_mask + 1) * sizeof *zone->slots,
	       resident_bytes() - before);
	answer_all(run); /* warm */
	begin = now(CLOCK_THREAD_CPUTIME_ID);
	answer_all(run);
	printf("\"ns_per_query\": %.1f, \"answer_bytes\": %" PRIu64 "}\n",
	       1e9 * (now(CLOCK_THREAD_CPUTIME_ID) - begin) / (double)run->n_queries,
	       run->n_bytes / 2 / run->n_queries);
	return 0;
}
