/* SPDX-License-Identifier: MIT */
#ifndef EXAMPLES_DNS_COUNTS_H
#define EXAMPLES_DNS_COUNTS_H

/* What one thread answered. It alone writes; anybody reads, a little late. */

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

enum dns_count {
	DNS_COUNT_QUERIES = 0, /* requests taken, but for those below */
	DNS_COUNT_IGNORED,     /* responses and what has no header: never answered */
	DNS_COUNT_NO_ROOM,     /* no memory for the answer */
	DNS_COUNT_TRUNCATED,
	DNS_COUNT_RRL_DROPPED,
	DNS_COUNT_RRL_SLIPPED,
	DNS_COUNT_GOOD_COOKIES,
	DNS_COUNT_QUERY_BYTES,
	DNS_COUNT_ANSWER_BYTES,
	DNS_COUNT_PEAK_PERCENT,        /* the largest answer for its query, in percent of it */
	DNS_COUNT_CONNECTIONS,         /* TCP only */
	DNS_COUNT_CONNECTIONS_REFUSED, /* for lack of memory */
	DNS_COUNT_CONNECTIONS_EXPIRED, /* nothing was finished for the idle time */
	DNS_COUNT_CONNECTIONS_EVICTED, /* for a new one, at a limit */
	DNS_COUNT_ACCEPTS_FAILED,      /* attempts to take one, for lack of descriptors */
	DNS_COUNT_RCODE,               /* and 16 more, one for each rcode; the last is BADVERS */
	DNS_N_COUNTS = DNS_COUNT_RCODE + 17
};

struct dns_counts {
	atomic_uint_least64_t n[DNS_N_COUNTS];
};

static inline uint64_t dns_counts_get(const struct dns_counts *counts, size_t which)
{
	return atomic_load_explicit(&counts->n[which], memory_order_relaxed);
}

static inline void dns_counts_add(struct dns_counts *counts, size_t which, uint64_t n)
{
	/* One writer: no read-modify-write. Publishes nothing but itself. */
	atomic_store_explicit(&counts->n[which], dns_counts_get(counts, which) + n,
			      memory_order_relaxed);
}

/* One answer over UDP that left. */
static inline void dns_counts_add_answer(struct dns_counts *counts, uint16_t rcode, size_t n_query,
					 size_t n_answer)
{
	dns_counts_add(counts, DNS_COUNT_RCODE + (size_t)(rcode > 16 ? 16 : rcode), 1);
	dns_counts_add(counts, DNS_COUNT_QUERY_BYTES, n_query);
	dns_counts_add(counts, DNS_COUNT_ANSWER_BYTES, n_answer);
	if (n_query > 0 &&
	    n_answer * 100 > dns_counts_get(counts, DNS_COUNT_PEAK_PERCENT) * n_query)
		atomic_store_explicit(&counts->n[DNS_COUNT_PEAK_PERCENT],
				      (n_answer * 100 + n_query - 1) / n_query,
				      memory_order_relaxed);
}

#endif
