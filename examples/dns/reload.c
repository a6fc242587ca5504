/* SPDX-License-Identifier: MIT */

/*
 * Loading and reloading. A load makes a whole new catalog on a thread of its own while the old one
 * answers; zones that are broken are taken over from the old one. Then every reader swaps its
 * pointer between two volleys (volley_server_post), so no volley is answered from two catalogs, and
 * the last reader to leave the old one frees it.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "program.h"
#include "zone_file.h"

static struct dns_zone *find_old(const struct dns_catalog *old, const uint8_t *apex)
{
	size_t n = dns_name_measure(apex, DNS_NAME_MAX);

	for (uint32_t i = 0; old != NULL && i < old->n_zones; i++)
		if (old->zones[i]->n_apex == n && memcmp(old->zones[i]->apex, apex, n) == 0)
			return old->zones[i];
	return NULL;
}

static struct dns_zone *load_one(const struct dns_program *program,
				 const struct dns_zone_config *config,
				 const struct dns_catalog *old, uint32_t *n_broken)
{
	struct dns_zone *zone = NULL;
	struct dns_zone *kept;
	char why[DNS_WHY_BYTES];

	if (dns_zone_file_load(config->path, config->apex, &program->key, &zone, why) >= 0)
		return zone;
	(*n_broken)++;
	kept = find_old(old, config->apex);
	fprintf(stderr, "volley-dns: error: zone %s is refused: %s%s\n", config->origin, why,
		kept != NULL && !kept->is_broken ? "; what was loaded before stays" : "");
	if (kept == NULL)
		return dns_zone_new_broken(config->apex, &program->key);
	dns_zone_ref(kept);
	return kept;
}

struct dns_catalog *dns_reload_load(const struct dns_program *program,
				    const struct dns_catalog *old, uint32_t *ret_n_broken)
{
	struct dns_zone **zones = calloc(program->n_zones + 1, sizeof(struct dns_zone *));
	struct dns_catalog *catalog = NULL;
	uint32_t n = 0;

	*ret_n_broken = 0;
	while (zones != NULL && n < program->n_zones) {
		zones[n] = load_one(program, &program->zones[n], old, ret_n_broken);
		if (zones[n] == NULL)
			break;
		n++;
	}
	if (zones != NULL && n == program->n_zones)
		catalog = dns_catalog_new(zones, n);
	while (catalog == NULL && n > 0)
		dns_zone_unref(zones[--n]);
	free(zones);
	return catalog;
}

static void take_catalog(struct volley_worker *worker, void *arg)
{
	struct dns_worker *w = volley_worker_get_data(worker);
	struct dns_catalog *old = w->catalog;

	w->catalog = arg;
	dns_answer_set_catalog(&w->responder, w->catalog);
	dns_catalog_unref(old);
}

/* To every worker, to TCP, and into program->catalog. */
static void hand_over(struct dns_program *program, struct dns_catalog *catalog)
{
	struct dns_catalog *old = program->catalog;

	dns_catalog_ref(catalog, program->n_workers);
	if (volley_server_post(program->server, take_catalog, catalog) < 0)
		for (uint32_t i = 0; i < program->n_workers; i++) /* stopping: no one needs it */
			dns_catalog_unref(catalog);
	if (program->tcp != NULL) {
		dns_catalog_ref(catalog, 1);
		dns_tcp_set_catalog(program->tcp, catalog);
	}
	program->catalog = catalog;
	dns_catalog_unref(old);
}

static void *load_in_background(void *arg)
{
	struct dns_program *program = arg;
	bool again = true;

	while (again) {
		uint32_t n_broken = 0;
		struct dns_catalog *catalog = dns_reload_load(program, program->catalog, &n_broken);

		if (catalog != NULL)
			hand_over(program, catalog);
		else
			fprintf(stderr, "volley-dns: error: reload: out of memory; what was "
					"loaded before stays\n");
		pthread_mutex_lock(&program->lock);
		program->n_reloads++;
		program->n_refused += n_broken;
		again = program->again;
		program->again = false;
		program->is_loading = again;
		pthread_mutex_unlock(&program->lock);
		fprintf(stderr, "volley-dns: reloaded (%u of %u zones refused)\n", n_broken,
			program->n_zones);
	}
	return NULL;
}

void dns_reload_request(struct dns_program *program)
{
	bool is_loading;

	pthread_mutex_lock(&program->lock);
	is_loading = program->is_loading;
	program->again = is_loading;
	program->is_loading = true;
	pthread_mutex_unlock(&program->lock);
	if (is_loading)
		return;
	if (program->has_loader)
		pthread_join(program->loader, NULL);
	program->has_loader = pthread_create(&program->loader, NULL, load_in_background, program) ==
			      0;
	if (!program->has_loader) {
		pthread_mutex_lock(&program->lock);
		program->is_loading = false;
		pthread_mutex_unlock(&program->lock);
		fprintf(stderr, "volley-dns: error: reload: no thread for it\n");
	}
}

void dns_reload_finish(struct dns_program *program)
{
	if (program->has_loader)
		pthread_join(program->loader, NULL);
	program->has_loader = false;
}
