/* SPDX-License-Identifier: MIT */

/*
 * count: what does not depend on the machine's mood. Counts per echoed datagram, each from a child
 * that runs `volley-bench once`:
 *
 *  - system calls, from strace's log between once's marks (every thread's, whatever library makes
 *    them; the harness's own futex and clock calls are left out);
 *  - user-space instructions and misses of the first-level data cache, by callgrind, collecting
 *    only inside the subject's loop function; it simulates a cache of this CPU's geometry, as
 *    cachegrind does, which cannot be told where to look;
 *  - allocations, by a preloaded library that counts.
 *
 * A tool that is not installed leaves its column empty and a note.
 */

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "commands.h"
#include "common/interrupt.h"
#include "once.h"
#include "output.h"
#include "subjects/volley.h"

#define N_ARGS 20

struct count {
	const struct bench_options *options;
	char folder[64];
	char self[512];
	char rounds[16];
	char preload[16];
	double n_datagrams;
};

static void get_path(const struct count *c, const char *name, char *path, size_t n_path)
{
	snprintf(path, n_path, "%s/%s", c->folder, name);
}

/*
 * Run and wait. Its output goes to FOLDER/out. 0, or -ENOENT when there is no such program, or
 * -EIO.
 */
static int run_child(const struct count *c, const char **args, const char *ld_preload)
{
	char path[128];
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		char *const *argv;
		int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
		int out;

		get_path(c, "out", path, sizeof path);
		out = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
		dup2(out, STDOUT_FILENO);
		dup2(null, STDERR_FILENO);
		if (ld_preload != NULL)
			setenv("LD_PRELOAD", ld_preload, 1);
		memcpy(&argv, &args, sizeof argv); /* execvp() writes to none of it */
		execvp(args[0], argv);
		_exit(127);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return -EIO;
	if (WIFEXITED(status) && WEXITSTATUS(status) == 127)
		return -ENOENT;
	return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -EIO;
}

/*
 * strace's lines of the runs: those between an odd mark and the next. A line may be cut in two by
 * another thread's, so only its beginning is looked for.
 */
static double count_calls(const char *path)
{
	static const char *const harness[] = { "futex(", "clock_gettime(", "getpgid(", "resumed>" };
	char mark[32], line[1024];
	FILE *file = fopen(path, "re");
	double n = 0;
	bool inside = false;

	snprintf(mark, sizeof mark, "getpgid(%#x", BENCH_ONCE_MARK);
	while (file != NULL && fgets(line, sizeof line, file) != NULL) {
		bool ours = true;

		if (strstr(line, mark) != NULL)
			inside = !inside;
		for (size_t i = 0; i < sizeof harness / sizeof harness[0]; i++)
			ours = ours && strstr(line, harness[i]) == NULL;
		n += inside && ours;
	}
	if (file != NULL)
		fclose(file);
	return n;
}

/* The child itself, behind n arguments of the tool that runs it. */
static void add_once(const struct count *c, const char *name, size_t n, const char *args[N_ARGS])
{
	const char *const once[] = { c->self,   "once",      name,       "--rounds",
				     c->rounds, "--preload", c->preload, NULL };

	memcpy(args + n, once, sizeof once);
}

static int put_calls(const struct count *c, const char *name, struct bench_row *row)
{
	char log[128];
	const char *args[N_ARGS] = { "strace", "-f", "-e", "raw=all", "-o", log };
	int r;

	get_path(c, "strace", log, sizeof log);
	add_once(c, name, 6, args);
	r = run_child(c, args, NULL);
	if (r >= 0)
		bench_row_put(row, "calls/datagram", count_calls(log) / c->n_datagrams);
	return r;
}

/* A peer's loop function. */
static void get_toggle(const struct bench_subject *subject, char *text, size_t n_text)
{
	size_t n;

	n = (size_t)snprintf(text, n_text, "--toggle-collect=*%s_run*", subject->name);
	for (size_t i = 0; i < n; i++)
		if (i > strlen("--toggle-collect=*") && text[i] == '-')
			text[i] = '_';
}

struct profile {
	double instructions;
	double misses; /* of the first-level data cache, reads and writes */
};

/* "events: Ir Dr Dw I1mr D1mr D1mw ..." names the columns of "summary:" or "totals:". */
static void read_profile(const char *path, struct profile *ret_profile)
{
	struct profile profile = { 0 };
	char line[1024], events[1024] = "";
	FILE *file = fopen(path, "re");

	while (file != NULL && fgets(line, sizeof line, file) != NULL) {
		char *names = events, *values, *name;

		if (strncmp(line, "events:", 7) == 0)
			snprintf(events, sizeof events, "%s", line + 7);
		if (strncmp(line, "summary:", 8) != 0 && strncmp(line, "totals:", 7) != 0)
			continue;
		profile = (struct profile){ 0 };
		values = strchr(line, ':') + 1;
		while ((name = strsep(&names, " \n")) != NULL) {
			double value = *name != '\0' ? strtod(values, &values) : 0;

			if (strcmp(name, "Ir") == 0)
				profile.instructions = value;
			if (strcmp(name, "D1mr") == 0 || strcmp(name, "D1mw") == 0)
				profile.misses += value;
		}
		break;
	}
	if (file != NULL)
		fclose(file);
	*ret_profile = profile;
}

static int put_instructions(const struct count *c, const struct bench_subject *subject,
			    struct bench_row *row)
{
	/* volley's data path has three doors: run_once, and wait and serve when it blocks. */
	static const char *const doors[] = { "--toggle-collect=vly_pipeline_run_once",
					     "--toggle-collect=vly_pipeline_wait",
					     "--toggle-collect=vly_pipeline_serve" };
	char out[160], path[128], toggle[96];
	const char *args[N_ARGS] = { "valgrind", "--tool=callgrind", "--cache-sim=yes", out };
	size_t n = 4;
	struct profile profile = { 0 };
	int r;

	get_path(c, "callgrind", path, sizeof path);
	unlink(path);
	snprintf(out, sizeof out, "--callgrind-out-file=%s", path);
	get_toggle(subject, toggle, sizeof toggle);
	for (size_t i = 0; i < sizeof doors / sizeof doors[0] && subject->mode != NULL; i++)
		args[n++] = doors[i];
	if (subject->mode == NULL)
		args[n++] = toggle;
	add_once(c, subject->name, n, args);
	r = run_child(c, args, NULL);
	if (r >= 0)
		read_profile(path, &profile);
	if (profile.instructions > 0) {
		bench_row_put(row, "instructions/datagram", profile.instructions / c->n_datagrams);
		bench_row_put(row, "D1 misses/datagram", profile.misses / c->n_datagrams);
	}
	return r;
}

static int put_allocations(const struct count *c, const char *name, struct bench_row *row)
{
	const char *args[N_ARGS];
	char library[600], path[128], line[128] = "";
	const char *allocations;
	FILE *file;
	int r;

	snprintf(library, sizeof library, "%.*s/libvolley-bench-alloc.so",
		 (int)(strrchr(c->self, '/') - c->self), c->self);
	if (access(library, R_OK) < 0)
		return -ENOENT;
	add_once(c, name, 0, args);
	r = run_child(c, args, library);
	get_path(c, "out", path, sizeof path);
	file = r >= 0 ? fopen(path, "re") : NULL;
	allocations = file != NULL && fgets(line, sizeof line, file) != NULL
			      ? strstr(line, "allocations ")
			      : NULL;
	if (allocations != NULL)
		bench_row_put(row, "allocations/datagram",
			      strtod(allocations + strlen("allocations "), NULL) / c->n_datagrams);
	if (file != NULL)
		fclose(file);
	return r;
}

static int run_subject(const struct count *c, const struct bench_subject *subject,
		       struct bench_set *set)
{
	struct bench_row *row = bench_set_add(set, subject->name);
	int calls, instructions, allocations;

	if (bench_subject_why_not_preloaded(subject) != NULL) {
		bench_row_void(row, "%s", bench_subject_why_not_preloaded(subject));
		return 0;
	}
	bench_output_progress(c->options, "counting %s", subject->name);
	allocations = put_allocations(c, subject->name, row);
	calls = put_calls(c, subject->name, row);
	instructions = bench_interrupt_is_pending() ? -EINTR : put_instructions(c, subject, row);
	if (instructions == -EIO)
		bench_set_note(set, "%s does not run under this valgrind.", subject->name);
	if (row->n_values == 0)
		bench_row_void(row, "it could not be run");
	if (set->n_rows == 1 && calls == -ENOENT)
		bench_set_note(set, "No system calls: strace is not installed.");
	if (set->n_rows == 1 && instructions == -ENOENT)
		bench_set_note(set, "No instructions: valgrind is not installed.");
	if (set->n_rows == 1 && allocations == -ENOENT)
		bench_set_note(set,
			       "No allocations: this C library's allocator cannot be counted.");
	return bench_interrupt_is_pending() ? -EINTR : 0;
}

static int open_count(const struct bench_options *options, struct count *c)
{
	uint32_t n_rounds = options->is_smoke ? 1 : options->n_rounds ? options->n_rounds : 3;
	uint32_t n_preload = options->is_smoke    ? 128
			     : options->n_preload ? options->n_preload
						  : 2048;
	ssize_t n = readlink("/proc/self/exe", c->self, sizeof c->self - 1);

	if (n < 0)
		return -errno;
	c->self[n] = '\0';
	c->options = options;
	snprintf(c->rounds, sizeof c->rounds, "%u", n_rounds);
	snprintf(c->preload, sizeof c->preload, "%u", n_preload);
	c->n_datagrams = (double)n_rounds * n_preload;
	snprintf(c->folder, sizeof c->folder, "/tmp/volley-bench-XXXXXX");
	return mkdtemp(c->folder) != NULL ? 0 : -errno;
}

static void close_count(const struct count *c)
{
	static const char *const names[] = { "out", "strace", "callgrind" };
	char path[128];

	for (size_t i = 0; i < 3; i++) {
		get_path(c, names[i], path, sizeof path);
		unlink(path);
	}
	rmdir(c->folder);
}

int bench_count(const struct bench_options *options)
{
	struct count c = { 0 };
	struct bench_set set = { .kind = "count", .baseline = options->baseline };
	struct bench_subjects subjects;
	int r = bench_options_get_subjects(options, NULL, &subjects);

	if (r >= 0)
		r = open_count(options, &c);
	if (r < 0)
		return r;
	for (size_t i = 0; i < subjects.n && r >= 0; i++)
		r = run_subject(&c, &subjects.all[i], &set);
	close_count(&c);
	snprintf(set.title, sizeof set.title, "per echoed datagram, %s queued, %s rounds",
		 c.preload, c.rounds);
	bench_set_note(&set, "Instructions are those of user space inside the loop function.");
	if (r >= 0)
		r = bench_output_finish(options, &subjects, &set, true);
	bench_set_fini(&set);
	return r;
}
