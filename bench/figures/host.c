/* SPDX-License-Identifier: MIT */

/* A figure without its machine is worth nothing, so every result carries these. */

#include "host.h"

#include <dirent.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "bench_commit.h"
#include "subjects/peer.h"

/* The first line of a file, or the value of the line that starts with `key`. */
static void read_line(const char *path, const char *key, char *text, size_t n_text)
{
	char line[512];
	FILE *file = fopen(path, "re");

	text[0] = '\0';
	while (file != NULL && fgets(line, sizeof line, file) != NULL) {
		char *at = line;

		line[strcspn(line, "\n")] = '\0';
		if (key != NULL && strncmp(line, key, strlen(key)) != 0)
			continue;
		if (key != NULL)
			at = strchr(line, ':') != NULL ? strchr(line, ':') + 2 : line;
		snprintf(text, n_text, "%.*s", (int)n_text - 1, at);
		break;
	}
	if (file != NULL)
		fclose(file);
}

/* Those that cost something here, by name: "Not affected" ones are left out. */
static void get_mitigations(char *text, size_t n_text)
{
	const char *folder = "/sys/devices/system/cpu/vulnerabilities";
	DIR *dir = opendir(folder);
	struct dirent *entry;
	size_t n = 0;

	text[0] = '\0';
	while (dir != NULL && (entry = readdir(dir)) != NULL && n < n_text) {
		char path[400], line[BENCH_HOST_N_TEXT];

		if (entry->d_name[0] == '.')
			continue;
		snprintf(path, sizeof path, "%s/%.255s", folder, entry->d_name);
		read_line(path, NULL, line, sizeof line);
		if (strncmp(line, "Mitigation", 10) == 0)
			n += (size_t)snprintf(text + n, n_text - n, "%s%s", n ? ", " : "",
					      entry->d_name);
	}
	if (dir != NULL)
		closedir(dir);
}

static void put(struct bench_host *host, const char *key, const char *text)
{
	struct bench_host_fact *fact = &host->facts[host->n];

	if (host->n == BENCH_HOST_MAX_FACTS)
		return;
	host->n++;
	fact->key = key;
	snprintf(fact->text, sizeof fact->text, "%s", text);
}

static void put_versions(struct bench_host *host)
{
	const struct bench_peer *peer;

	for (size_t i = 0; (peer = bench_peers_get(i)) != NULL; i++)
		if (peer->absent != NULL)
			put(host, peer->name, peer->absent);
		else if (peer->version != NULL)
			put(host, peer->name, peer->version());
}

void bench_host_get(struct bench_host *ret_host)
{
	struct bench_host host = { 0 };
	struct utsname name;
	char text[BENCH_HOST_N_TEXT];
	time_t now = time(NULL);
	struct tm utc;

	read_line("/proc/cpuinfo", "model name", text, sizeof text);
	put(&host, "cpu", text);
	snprintf(text, sizeof text, "%ld", sysconf(_SC_NPROCESSORS_ONLN));
	put(&host, "cpus", text);
	uname(&name);
	snprintf(text, sizeof text, "%s %s %s", name.sysname, name.release, name.machine);
	put(&host, "kernel", text);
	read_line("/sys/devices/system/clocksource/clocksource0/current_clocksource", NULL, text,
		  sizeof text);
	put(&host, "clocksource", text);
	get_mitigations(text, sizeof text);
	put(&host, "mitigations", text);
	put(&host, "compiler", __VERSION__);
	put(&host, "build", BENCH_BUILD_TYPE);
	put(&host, "commit", BENCH_COMMIT);
	gmtime_r(&now, &utc);
	strftime(text, sizeof text, "%Y-%m-%d %H:%M UTC", &utc);
	put(&host, "when", text);
	put(&host, "volley", BENCH_VERSION);
	put_versions(&host);
	*ret_host = host;
}

void bench_host_print(FILE *file)
{
	struct bench_host host;

	bench_host_get(&host);
	for (size_t i = 0; i < host.n; i++)
		fprintf(file, "  %-14s %s\n", host.facts[i].key, host.facts[i].text);
}

void bench_host_print_csv(FILE *file)
{
	struct bench_host host;

	bench_host_get(&host);
	for (size_t i = 0; i < host.n; i++)
		fprintf(file, "# %s: %s\n", host.facts[i].key, host.facts[i].text);
}

/* Machine, build, versions: a line each, which begins with the first key of its kind. */
void bench_host_print_brief(FILE *file)
{
	static const char *const first_keys[] = { "cpu", "compiler", "volley" };
	struct bench_host host;

	bench_host_get(&host);
	for (size_t i = 0; i < host.n; i++) {
		bool begins = false;

		for (size_t k = 0; k < sizeof first_keys / sizeof first_keys[0]; k++)
			begins = begins || strcmp(host.facts[i].key, first_keys[k]) == 0;
		fprintf(file, "%s%s %s",
			i == 0   ? ""
			: begins ? "\n"
				 : ", ",
			host.facts[i].key, host.facts[i].text);
	}
	fputc('\n', file);
}

const char *bench_host_why_not_quotable(void)
{
#if !defined(NDEBUG) || !defined(__OPTIMIZE__)
	return "a " BENCH_BUILD_TYPE " build, with assertions: its figures are not worth quoting; "
	       "use meson setup --buildtype=release";
#else
	return NULL;
#endif
}
