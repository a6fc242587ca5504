/* SPDX-License-Identifier: MIT */

/*
 * What a load is made of, from text and to text: a ratio without its load means nothing, so every
 * table is headed by it.
 */

#include "load.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

int bench_sizes_parse(const char *text, struct bench_sizes *ret_sizes)
{
	struct bench_sizes sizes = { 0 };

	for (;;) {
		char *end;
		unsigned long bytes = strtoul(text, &end, 10);
		unsigned long weight = 1;

		if (end == text || bytes > 65507 || sizes.n == BENCH_LOAD_MAX_SIZES)
			return -EINVAL;
		if (*end == ':')
			weight = strtoul(end + 1, &end, 10);
		if (weight == 0 || weight > 1000 || (*end != ',' && *end != '\0'))
			return -EINVAL;
		sizes.bytes[sizes.n] = (uint32_t)bytes;
		sizes.weight[sizes.n++] = (uint32_t)weight;
		if (*end == '\0')
			break;
		text = end + 1;
	}
	*ret_sizes = sizes;
	return 0;
}

uint32_t bench_sizes_get_max(const struct bench_sizes *sizes)
{
	uint32_t max = 0;

	for (uint32_t i = 0; i < sizes->n; i++)
		if (sizes->bytes[i] > max)
			max = sizes->bytes[i];
	return max;
}

static size_t describe_sizes(const struct bench_sizes *sizes, char *text, size_t n_text)
{
	size_t n = 0;

	if (sizes->n == 1)
		return (size_t)snprintf(text, n_text, "%u", sizes->bytes[0]);
	for (uint32_t i = 0; i < sizes->n && n < n_text; i++)
		n += (size_t)snprintf(text + n, n_text - n, "%s%u:%u", i ? "," : "",
				      sizes->bytes[i], sizes->weight[i]);
	return n;
}

void bench_load_describe(const struct bench_load *load, char *text, size_t n_text)
{
	size_t n = describe_sizes(&load->sizes, text, n_text);

	if (n < n_text)
		n += (size_t)snprintf(text + n, n_text - n,
				      "-byte echo, %u client%s%s in bursts of %u%s",
				      load->n_clients, load->n_clients == 1 ? "" : "s",
				      load->use_gro ? " with GRO" : "", load->n_burst,
				      load->is_single ? " single messages" : "");
	if (load->n_servers > 1 && n < n_text)
		n += (size_t)snprintf(text + n, n_text - n, ", %u listeners", load->n_servers);
	if (load->path != NULL && n < n_text)
		n += (size_t)snprintf(text + n, n_text - n, " %s", load->path);
	if (load->n_window > 0 && n < n_text)
		snprintf(text + n, n_text - n, ", window %u", load->n_window);
}
