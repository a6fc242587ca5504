/* SPDX-License-Identifier: MIT */
#include "volley.h"

const struct bench_volley_mode *bench_volley_get_mode(size_t i)
{
	(void)i;
	return NULL;
}
int bench_volley_start(const struct bench_volley_config *c, struct bench_volley **r)
{
	(void)c;
	(void)r;
	return -38;
}
void bench_volley_stop(struct bench_volley *v)
{
	(void)v;
}
void bench_volley_get_addr(const struct bench_volley *v, struct sockaddr_in *a)
{
	(void)v;
	(void)a;
}
void bench_volley_get_counters(struct bench_volley *v, struct bench_counters *c)
{
	(void)v;
	(void)c;
}
int bench_volley_handle(struct bench_volley *v, uint64_t n, uint64_t *r)
{
	(void)v;
	(void)n;
	(void)r;
	return -38;
}
int bench_volley_time_stop(struct bench_volley *v, uint64_t *r)
{
	(void)v;
	(void)r;
	return -38;
}
