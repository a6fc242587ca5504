/* SPDX-License-Identifier: MIT */

/* A figure without its machine is worth nothing, so every result carries these. */

#include "host.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "bench_commit.h"
#include "cpus.h"
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
	struct bench_cpus cpus;
	struct utsname name;
	char text[N_TEXT];
	time_t now = time(NULL);
	struct tm utc;

	read_line("/proc/cpuinfo", "model name", text, sizeof(text));
	print(file, "cpu", text, 0);
	bench_cpus_get(&cpus);
	snprintf(text, sizeof(text), "%u", cpus.n);
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
	print(file, "commit", BENCH_COMMIT, 6);
	gmtime_r(&now, &utc);
	strftime(text, sizeof(text), "%Y-%m-%d %H:%M UTC", &utc);
	print(file, "when", text, 7);
	put_versions(file, print, 8);
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
