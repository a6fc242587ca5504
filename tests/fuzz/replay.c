/* SPDX-License-Identifier: MIT */

/*
 * A fuzz target without libFuzzer: every file of the corpus, every prefix of it, and every single
 * byte of it changed. For builds with any compiler, and to repeat a crash: replay FILE|FOLDER ...
 */

#include <dirent.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "fuzz/fuzz.h"
#include "lib/check.h"

enum { MAX_BYTES = 1 << 20 };

/* Of exactly this size on the heap: the sanitizers see a read behind it. */
static void run(const uint8_t *data, size_t n)
{
	uint8_t *copy = malloc(n + (n == 0));

	REQUIRE(copy != NULL);
	memcpy(copy, data, n);
	LLVMFuzzerTestOneInput(copy, n);
	free(copy);
}

static void run_file(const char *path)
{
	static uint8_t data[MAX_BYTES];
	FILE *file = fopen(path, "re");
	size_t n;

	REQUIRE(file != NULL);
	n = fread(data, 1, sizeof data, file);
	fclose(file);
	for (size_t i = 0; i <= n; i++)
		run(data, i);
	for (size_t i = 0; i < n; i++) {
		uint8_t was = data[i];

		for (unsigned int bit = 0; bit < 8; bit++) {
			data[i] = (uint8_t)(was ^ 1u << bit);
			run(data, n);
		}
		data[i] = was;
	}
	CHECK(true);
}

static void run_folder(const char *path)
{
	DIR *dir = opendir(path);
	struct dirent *entry;
	char name[4096];

	REQUIRE(dir != NULL);
	while ((entry = readdir(dir)) != NULL) {
		if (entry->d_name[0] == '.')
			continue;
		snprintf(name, sizeof name, "%s/%s", path, entry->d_name);
		run_file(name);
	}
	closedir(dir);
}

int main(int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		struct stat st;

		REQUIRE(stat(argv[i], &st) == 0);
		if (S_ISDIR(st.st_mode))
			run_folder(argv[i]);
		else
			run_file(argv[i]);
	}
	return check_done();
}
