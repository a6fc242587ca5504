/* SPDX-License-Identifier: MIT */

/* The statistics beside volley's ledger: one object "dns", totals over UDP and TCP. */

#include <stdio.h>

#include "program.h"

static const char *const names[] = {
	[DNS_COUNT_QUERIES] = "queries",
	[DNS_COUNT_IGNORED] = "ignored",
	[DNS_COUNT_NO_ROOM] = "no_room",
	[DNS_COUNT_TRUNCATED] = "truncated",
	[DNS_COUNT_RRL_DROPPED] = "rrl_dropped",
	[DNS_COUNT_RRL_SLIPPED] = "rrl_slipped",
	[DNS_COUNT_GOOD_COOKIES] = "good_cookies",
	[DNS_COUNT_QUERY_BYTES] = "query_bytes",
	[DNS_COUNT_ANSWER_BYTES] = "answer_bytes",
	[DNS_COUNT_PEAK_PERCENT] = "largest_answer_percent",
};

static const char *const rcodes[] = { "NOERROR", "FORMERR",  "SERVFAIL", "NXDOMAIN", "NOTIMP",
				      "REFUSED", "YXDOMAIN", "YXRRSET",  "NXRRSET",  "NOTAUTH",
				      "NOTZONE", "11",       "12",       "13",       "14",
				      "15",      "BADVERS" };

static uint64_t total(const struct dns_program *program, size_t which)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < program->n_workers; i++) {
		uint64_t n = 0;

		if (program->workers[i] != NULL)
			n = dns_counts_get(&program->workers[i]->counts, which);
		if (which == DNS_COUNT_PEAK_PERCENT)
			sum = n > sum ? n : sum;
		else
			sum += n;
	}
	return sum;
}

int dns_stats_format(struct options *options, char *text, size_t n_text)
{
	struct dns_program *program = (struct dns_program *)options;
	const struct dns_counts *tcp = program->tcp == NULL ? NULL
							    : dns_tcp_get_counts(program->tcp);
	FILE *file = fmemopen(text, n_text, "w");

	if (file == NULL)
		return 0;
	pthread_mutex_lock(&program->lock);
	fprintf(file, "\"dns\": {\"zones\": %u, \"reloads\": %llu, \"zones_refused\": %llu",
		program->n_zones, (unsigned long long)program->n_reloads,
		(unsigned long long)program->n_refused);
	pthread_mutex_unlock(&program->lock);
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
		fprintf(file, ", \"%s\": %llu", names[i], (unsigned long long)total(program, i));
	fprintf(file, ", \"rcodes\": {");
	for (size_t i = 0; i < sizeof rcodes / sizeof rcodes[0]; i++)
		fprintf(file, "%s\"%s\": %llu", i == 0 ? "" : ", ", rcodes[i],
			(unsigned long long)total(program, DNS_COUNT_RCODE + i));
	fprintf(file, "}");
	if (tcp != NULL)
		fprintf(file,
			", \"tcp\": {\"connections\": %llu, \"connections_refused\": %llu, "
			"\"connections_expired\": %llu, \"connections_evicted\": %llu, "
			"\"accepts_failed\": %llu, "
			"\"queries\": %llu, \"answer_bytes\": %llu}",
			(unsigned long long)dns_counts_get(tcp, DNS_COUNT_CONNECTIONS),
			(unsigned long long)dns_counts_get(tcp, DNS_COUNT_CONNECTIONS_REFUSED),
			(unsigned long long)dns_counts_get(tcp, DNS_COUNT_CONNECTIONS_EXPIRED),
			(unsigned long long)dns_counts_get(tcp, DNS_COUNT_CONNECTIONS_EVICTED),
			(unsigned long long)dns_counts_get(tcp, DNS_COUNT_ACCEPTS_FAILED),
			(unsigned long long)dns_counts_get(tcp, DNS_COUNT_QUERIES),
			(unsigned long long)dns_counts_get(tcp, DNS_COUNT_ANSWER_BYTES));
	fprintf(file, "}");
	return fclose(file);
}
