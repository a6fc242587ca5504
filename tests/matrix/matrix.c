/* SPDX-License-Identifier: MIT */

/*
 * Every call that the library makes to the system, in every phase of a server's life, fails in
 * every way that its man page names, and each time the server works or says why not: no crash, no
 * hang, no descriptor, byte or thread left, no datagram that is in no book.
 *
 *	matrix [--seed N] [--part N] [--way NAME] [--cell N] [--list]
 *
 * A first life of each way of waiting records the calls. Then each cell (phase, place of the call,
 * errno, once or for the rest of the phase) is tried in a life of its own, in a child. --part 10
 * draws a tenth of them by the seed, which is printed. --cell N tries one, with the log shown.
 *
 * A place that depends on the moment may not be reached again: of 1,367 cells two were not. When
 * more than a tenth are missed, the places are not found again, and nothing is shown.
 */

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/check.h"
#include "lib/namespace.h"
#include "matrix/life.h"
#include "matrix/sites.h"

enum { DEADLINE_S = 20, N_AT_A_TIME = 8, MAX_SHOWN = 40 };

struct child {
	pid_t pid;
	int out; /* what it says */
	unsigned long number;
	struct cell cell;
};

static struct options {
	unsigned long seed;
	unsigned long part;
	const char *way;
	long cell;
	bool is_listing;
} options = { .seed = 1, .part = 1, .cell = -1 };

static unsigned long n_sites; /* of all ways: each has its own */
static unsigned long n_cells;
static unsigned long n_tried;
static unsigned long n_hit;
static unsigned long n_broken;

/* A small generator: the same cells for the same seed, on every machine. */
static unsigned long draw(unsigned long number)
{
	uint64_t x = (number + 1) * UINT64_C(0x9e3779b97f4a7c15) ^
		     options.seed * UINT64_C(0xbf58476d1ce4e5b9);

	x ^= x >> 31;
	x *= UINT64_C(0x94d049bb133111eb);
	return (unsigned long)(x >> 33);
}

static void print_cell(const struct way *way, const struct child *child, const char *what)
{
	const struct site *site = sites_get(child->cell.site);
	char text[512];

	sites_print(site, text, sizeof text);
	fprintf(stderr, "cell %lu (%s, %s, %s %s): %s: %s\n", child->number, way->name,
		phase_names[child->cell.phase], strerrorname_np(child->cell.error),
		child->cell.is_once ? "once" : "from then on", text, what);
}

static int live_in_child(const struct way *way, const struct cell *cell)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	alarm(DEADLINE_S);
	/* Or a port that was one life's client becomes another's server, and two echoes talk. */
	if (!namespace_enter())
		return 77;
	if (cell == NULL)
		sites_record();
	else
		sites_try(cell);
	if (!life_run(way, cell == NULL || cell->is_once))
		return 1;
	return cell != NULL && sites_n_fired() == 0 ? 2 : 0;
}

/* A life in a child, which exits with what it was like. */
static void start(struct child *child, const struct way *way, const struct cell *cell)
{
	child->out = memfd_create("matrix", MFD_CLOEXEC);
	child->pid = fork();
	if (child->pid < 0 || child->out < 0) {
		perror("matrix: no child");
		abort();
	}
	if (child->pid == 0) {
		dup2(child->out, STDERR_FILENO);
		exit(live_in_child(way, cell));
	}
}

static void print_words(const struct child *child)
{
	char text[4096];
	ssize_t n = pread(child->out, text, sizeof text - 1, 0);

	if (n > 0)
		fprintf(stderr, "%.*s", (int)n, text);
}

static void describe(int status, char *what, size_t n)
{
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM)
		snprintf(what, n, "hangs");
	else if (WIFSIGNALED(status))
		snprintf(what, n, "crash: %s", strsignal(WTERMSIG(status)));
	else
		snprintf(what, n, "exit %d", WEXITSTATUS(status));
}

static void judge_child(const struct way *way, const struct child *child, int status)
{
	char what[64];

	n_tried++;
	if (WIFEXITED(status) && (WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == 2)) {
		n_hit += WEXITSTATUS(status) == 0;
		CHECK(true);
		return;
	}
	n_hit++;
	n_broken++;
	describe(status, what, sizeof what);
	if (n_broken <= MAX_SHOWN) {
		print_cell(way, child, what);
		print_words(child);
	}
	atomic_fetch_add(&check_counts.n_failed, 1);
}

static struct child children[N_AT_A_TIME];
static size_t n_children;

static void wait_one(const struct way *way)
{
	int status;
	pid_t pid = wait(&status);

	for (size_t i = 0; i < n_children; i++) {
		if (children[i].pid != pid)
			continue;
		judge_child(way, &children[i], status);
		close(children[i].out);
		children[i] = children[--n_children];
		return;
	}
}

/* One cell more, when it is one of those that were drawn. */
static void try_cell(const struct way *way, const struct cell *cell)
{
	struct child child = { .number = n_cells++, .cell = *cell };

	if (options.cell >= 0 ? (unsigned long)options.cell != child.number
			      : draw(child.number) % options.part != 0)
		return;
	if (options.is_listing) {
		print_cell(way, &child, "");
		return;
	}
	start(&child, way, cell);
	children[n_children++] = child;
	if (n_children == N_AT_A_TIME)
		wait_one(way);
}

static void try_site(const struct way *way, uint32_t i)
{
	const struct site *site = sites_get(i);
	const int *errors;
	size_t n_errors = sites_get_errors(site, &errors);

	for (int phase = 0; phase < N_PHASES; phase++)
		for (size_t e = 0; e < n_errors && site->n_calls[phase] > 0; e++)
			for (int once = 1; once >= 0; once--)
				try_cell(way,
					 &(struct cell){ i, (enum phase)phase, errors[e], once });
}

static void try_way(const struct way *way)
{
	struct child first;
	char what[64];
	int status;

	start(&first, way, NULL);
	if (waitpid(first.pid, &status, 0) < 0 || !WIFEXITED(status) || WEXITSTATUS(status) != 0) {
		print_words(&first);
		describe(status, what, sizeof what);
		fprintf(stderr, "%s: a life in which nothing fails is not well: %s\n", way->name,
			what);
		CHECK(false);
		return;
	}
	close(first.out);
	n_sites += sites_n();
	for (uint32_t i = 0; i < sites_n(); i++)
		try_site(way, i);
	while (n_children > 0)
		wait_one(way);
}

static bool read_options(int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--list") == 0)
			options.is_listing = true;
		else if (i + 1 == argc)
			return false;
		else if (strcmp(argv[i], "--seed") == 0)
			options.seed = strtoul(argv[++i], NULL, 10);
		else if (strcmp(argv[i], "--part") == 0)
			options.part = strtoul(argv[++i], NULL, 10);
		else if (strcmp(argv[i], "--cell") == 0)
			options.cell = strtol(argv[++i], NULL, 10);
		else if (strcmp(argv[i], "--way") == 0)
			options.way = argv[++i];
		else
			return false;
	}
	return options.part > 0;
}

int main(int argc, char **argv)
{
	if (!read_options(argc, argv)) {
		fprintf(stderr, "usage: matrix [--seed N] [--part N] [--way NAME] [--cell N] "
				"[--list]\n");
		return 2;
	}
	if (!namespace_enter() || !sites_init())
		return 77;
	for (int i = 0; i < N_WAYS; i++)
		if (options.way == NULL || strcmp(options.way, ways[i].name) == 0)
			try_way(&ways[i]);
	printf("matrix: %lu places of calls, %lu cells, %lu tried (seed %lu, one in %lu), %lu hit, "
	       "%lu broken\n",
	       n_sites, n_cells, n_tried, options.seed, options.part, n_hit, n_broken);
	if (!options.is_listing)
		CHECK(n_hit > 0 && n_hit * 10 >= n_tried * 9);
	return check_done();
}
