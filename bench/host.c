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
#include "json.h"
#include "peer.h"

#define N_TEXT 256

typedef void (*print_fn)(FILE *file, const char *key, const char *text, int n);

/* The first line of a file, or the value of the line that starts with `key`. */
static void read_line(const char *path, const char *key, char *text, size_t n_text)
{
	char line[512];
	FILE *file = fopen(path, "re");

	text[0] = '\0';
	while (file && fgets(line, sizeof(line), file)) {
		char *at = line;

		line[strcspn(line, "\n")] = '\0';
		if (key && strncmp(line, key, strlen(key)) != 0)
			continue;
		if (key)
			at = strchr(line, ':') ? strchr(line, ':') + 2 : line;
		snprintf(text, n_text, "%.*s", (int)n_text - 1, at);
		break;
	}
	if (file)
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
	while (dir && (entry = readdir(dir)) != NULL && n < n_text) {
		char path[400], line[N_TEXT];

		if (entry->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "%s/%.255s", folder, entry->d_name);
		read_line(path, NULL, line, sizeof(line));
		if (strncmp(line, "Mitigation", 10) == 0)
			n += (size_t)snprintf(text + n, n_text - n, "%s%s", n ? ", " : "",
					      entry->d_name);
	}
	if (dir)
		closedir(dir);
}

static void put_versions(FILE *file, print_fn print, int n)
{
	const struct bench_peer *peer;

	for (size_t i = 0; (peer = bench_peers_get(i)) != NULL; i++)
		if (peer->absent)
			print(file, peer->name, peer->absent, n++);
		else if (peer->version)
			print(file, peer->name, peer->version(), n++);
}

static void put_all(FILE *file, print_fn print)
{
	struct utsname name;
	char text[N_TEXT];
	time_t now = time(NULL);
	struct tm utc;

	read_line("/proc/cpuinfo", "model name", text, sizeof(text));
	print(file, "cpu", text, 0);
	snprintf(text, sizeof(text), "%ld", sysconf(_SC_NPROCESSORS_ONLN));
	print(file, "cpus", text, 1);
	uname(&name);
	snprintf(text, sizeof(text), "%s %s %s", name.sysname, name.release, name.machine);
	print(file, "kernel", text, 2);
	read_line("/sys/devices/system/clocksource/clocksource0/current_clocksource", NULL, text,
		  sizeof(text));
	print(file, "clocksource", text, 3);
	get_mitigations(text, sizeof(text));
	print(file, "mitigations", text, 4);
	print(file, "compiler", __VERSION__, 5);
	print(file, "build", BENCH_BUILD_TYPE, 6);
	print(file, "commit", BENCH_COMMIT, 7);
	gmtime_r(&now, &utc);
	strftime(text, sizeof(text), "%Y-%m-%d %H:%M UTC", &utc);
	print(file, "when", text, 8);
	print(file, "volley", BENCH_VERSION, 9);
	put_versions(file, print, 10);
}

static void print_text(FILE *file, const char *key, const char *text, int n)
{
	(void)n;
	fprintf(file, "  %-14s %s\n", key, text);
}

static void print_json(FILE *file, const char *key, const char *text, int n)
{
	fputs(n ? ",\n  " : "{\n  ", file);
	bench_json_print_string(key, file);
	fputc(':', file);
	bench_json_print_string(text, file);
}

void bench_host_print(FILE *file)
{
	put_all(file, print_text);
}

void bench_host_print_json(FILE *file)
{
	put_all(file, print_json);
	fputc('}', file);
}

static void print_comment(FILE *file, const char *key, const char *text, int n)
{
	(void)n;
	fprintf(file, "# %s: %s\n", key, text);
}

void bench_host_print_csv(FILE *file)
{
	put_all(file, print_comment);
}

/* Machine, build, versions: a line each, which begins with the first key of its kind. */
static void print_brief(FILE *file, const char *key, const char *text, int n)
{
	static const char *const first_keys[] = { "cpu", "compiler", "volley" };
	bool begins = false;

	for (size_t i = 0; i < sizeof(first_keys) / sizeof(first_keys[0]); i++)
		begins = begins || strcmp(key, first_keys[i]) == 0;
	fprintf(file, "%s%s %s", n == 0 ? "" : begins ? "\n" : ", ", key, text);
}

void bench_host_print_brief(FILE *file)
{
	put_all(file, print_brief);
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
