/* SPDX-License-Identifier: MIT */

/* What --help says. The same worlds for the same seeds, wherever and however often they run. */

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/personality.h>
#include <sys/resource.h>
#include <unistd.h>

#include "run.h"
#include "shrink.h"
#include "steady.h"
#include "world.h"

static const char usage[] =
	"simulate [OPTION ...]: the library in simulated worlds, judged by an oracle\n"
	"\n"
	"      --seed N       the first world (1)\n"
	"      --seeds M      how many, each with the next seed (1)\n"
	"      --jobs J       so many at a time (1)\n"
	"      --story        tell all that happens\n"
	"      --shrink       make the first world that is wrong as small as it gets, and tell it\n"
	"      --first        stop at the first world that is wrong\n"
	"      --resume FILE  go on where FILE says, and keep it up to date; of another build it\n"
	"                     begins anew\n"
	"      --kind KIND    only play, restart or steady\n"
	"      --rate N       of steady worlds: N requests a second, one by one\n"
	"      --without PARTS  leave out of all worlds: PART[,PART ...] of %s\n"
	"      --acts N       leave out what the program does after its first N steps\n"
	"      --load N       leave out what the clients send after their first N requests\n"
	"\n"
	"The last line is \"N passed, N failed\": worlds. The exit code is 0 when none failed.\n";

struct task {
	uint64_t seed, n_seeds;
	uint32_t n_jobs;
	bool shall_shrink, stops_at_first;
	const char *resume; /* NULL: none */
};

/* What came of it. */
struct sum {
	uint64_t next_seed; /* all before it are done */
	uint64_t n_worlds, n_datagrams, n_ns, n_wrong;
	double n_cpu_s;
	uint64_t first_wrong;
	struct verdict verdict; /* of that one */
	bool stops_at_first;
};

/* Options -------------------------------------------------------------------------------------- */

__attribute__((noreturn)) static void refuse(const char *what, const char *value)
{
	fprintf(stderr, "simulate: %s: '%s'; see simulate --help\n", what, value);
	exit(2);
}

static uint64_t read_number(const char *name, const char *text, uint64_t least, uint64_t most)
{
	char *end;
	uint64_t n = strtoull(text, &end, 10);

	if (*text < '0' || *text > '9' || *end != '\0' || n < least || n > most)
		refuse(name, text);
	return n;
}

static uint32_t read_parts(char *text)
{
	uint32_t bits = 0;

	for (char *name = strtok(text, ","); name != NULL; name = strtok(NULL, ",")) {
		uint32_t i = 0;

		while (i < N_PARTS && strcmp(world_parts[i], name) != 0)
			i++;
		if (i == N_PARTS)
			refuse("there is no such part", name);
		bits |= UINT32_C(1) << i;
	}
	return bits;
}

static enum kind read_kind(const char *text)
{
	static const char *const names[] = { "", "play", "restart", "steady" };

	for (int i = KIND_PLAY; i <= KIND_STEADY; i++)
		if (strcmp(names[i], text) == 0)
			return (enum kind)i;
	refuse("there is no such kind of world", text);
}

static void print_usage(void)
{
	char names[256] = "";

	for (uint32_t i = 0; i < N_PARTS; i++) {
		strcat(names, i > 0 ? " " : "");
		strcat(names, world_parts[i]);
	}
	printf(usage, names);
}

static const struct option options[] = {
	{ "seed", 1, NULL, 's' },    { "seeds", 1, NULL, 'n' },  { "jobs", 1, NULL, 'j' },
	{ "story", 0, NULL, 't' },   { "shrink", 0, NULL, 'k' }, { "first", 0, NULL, 'f' },
	{ "resume", 1, NULL, 'r' },  { "kind", 1, NULL, 'w' },   { "rate", 1, NULL, 'p' },
	{ "without", 1, NULL, 'o' }, { "acts", 1, NULL, 'a' },   { "load", 1, NULL, 'l' },
	{ "help", 0, NULL, 'h' },    { NULL, 0, NULL, 0 },
};

static void read_option(int option, struct task *task)
{
	switch (option) {
	case 's':
		task->seed = read_number("--seed", optarg, 0, UINT64_MAX / 2);
		break;
	case 'n':
		task->n_seeds = read_number("--seeds", optarg, 1, UINT64_MAX / 2);
		break;
	case 'j':
		task->n_jobs = (uint32_t)read_number("--jobs", optarg, 1, MAX_JOBS);
		break;
	case 't':
		world_tells = TELL_ALL;
		break;
	case 'k':
		task->shall_shrink = true;
		break;
	case 'f':
		task->stops_at_first = true;
		break;
	case 'r':
		task->resume = optarg;
		break;
	case 'w':
		run_kind = read_kind(optarg);
		break;
	case 'p':
		steady_per_second = (uint32_t)read_number("--rate", optarg, 1, 1000000);
		break;
	case 'o':
		world_cut.without = read_parts(optarg);
		break;
	case 'a':
		world_cut.n_acts = (uint32_t)read_number("--acts", optarg, 0, UINT32_MAX);
		break;
	case 'l':
		world_cut.n_load = (uint32_t)read_number("--load", optarg, 0, UINT32_MAX);
		break;
	case 'h':
		print_usage();
		exit(0);
	default:
		exit(2);
	}
}

/* What is kept --------------------------------------------------------------------------------- */

/* Of the program that runs: another one's worlds are others. FNV-1a. */
static uint64_t get_build(void)
{
	static uint64_t hash;
	FILE *file = hash == 0 ? fopen("/proc/self/exe", "r") : NULL;
	int c;

	if (hash != 0)
		return hash;
	hash = UINT64_C(0xcbf29ce484222325);
	while (file != NULL && (c = getc(file)) != EOF)
		hash = (hash ^ (uint64_t)c) * UINT64_C(0x100000001b3);
	if (file != NULL)
		fclose(file);
	return hash;
}

static void read_state(const char *path, struct sum *sum)
{
	FILE *file = fopen(path, "r");
	unsigned long long a[7];
	double n_cpu_s;

	if (file == NULL)
		return; /* it begins */
	if (fscanf(file,
		   "build %llx next %llu worlds %llu datagrams %llu ns %llu wrong %llu first %llu "
		   "cpu %lf",
		   &a[0], &a[1], &a[2], &a[3], &a[4], &a[5], &a[6], &n_cpu_s) != 8)
		refuse("it is not of --resume", path);
	fclose(file);
	if (a[0] != get_build()) {
		printf("%s is of another build: these worlds begin anew\n", path);
		return;
	}
	sum->next_seed = a[1], sum->n_worlds = a[2], sum->n_datagrams = a[3];
	sum->n_ns = a[4], sum->n_wrong = a[5], sum->first_wrong = a[6];
	sum->n_cpu_s = n_cpu_s;
}

static double get_cpu_s(void)
{
	struct rusage self, children;

	getrusage(RUSAGE_SELF, &self);
	getrusage(RUSAGE_CHILDREN, &children);
	return (double)(self.ru_utime.tv_sec + self.ru_stime.tv_sec + children.ru_utime.tv_sec +
			children.ru_stime.tv_sec) +
	       (double)(self.ru_utime.tv_usec + self.ru_stime.tv_usec + children.ru_utime.tv_usec +
			children.ru_stime.tv_usec) /
		       1e6;
}

static void write_state(const char *path, const struct sum *sum, double n_cpu_s)
{
	char other[4096];
	FILE *file;

	snprintf(other, sizeof other, "%s.new", path);
	file = fopen(other, "w");
	if (file == NULL)
		refuse("it cannot be written", other);
	fprintf(file,
		"build %llx next %llu worlds %llu datagrams %llu ns %llu wrong %llu first %llu "
		"cpu %.3f\n",
		(unsigned long long)get_build(), (unsigned long long)sum->next_seed,
		(unsigned long long)sum->n_worlds, (unsigned long long)sum->n_datagrams,
		(unsigned long long)sum->n_ns, (unsigned long long)sum->n_wrong,
		(unsigned long long)sum->first_wrong, n_cpu_s);
	fclose(file);
	if (rename(other, path) != 0)
		refuse("it cannot be written", path);
}

/* Worlds --------------------------------------------------------------------------------------- */

static bool add_verdict(uint64_t seed, const struct verdict *verdict, void *arg)
{
	struct sum *sum = arg;

	sum->n_worlds++;
	sum->n_datagrams += verdict->n_datagrams;
	sum->n_ns += verdict->n_ns;
	if (!verdict->is_wrong)
		return true;
	printf("seed %llu: %s\n", (unsigned long long)seed, verdict->blame);
	if (sum->n_wrong++ == 0 || seed < sum->first_wrong) {
		sum->first_wrong = seed;
		sum->verdict = *verdict;
	}
	return !sum->stops_at_first;
}

/* In parts, so that one who is stopped goes on near there. */
static void run_all(const struct task *task, struct sum *sum)
{
	uint64_t end = task->seed + task->n_seeds;
	uint64_t n_part = task->resume != NULL ? 1000 : task->n_seeds;
	double before_s = sum->n_cpu_s;

	while (sum->next_seed < end) {
		uint64_t n = end - sum->next_seed < n_part ? end - sum->next_seed : n_part;

		run_many(sum->next_seed, n, task->n_jobs, add_verdict, sum);
		sum->next_seed += n;
		sum->n_cpu_s = before_s + get_cpu_s();
		if (task->resume != NULL)
			write_state(task->resume, sum, sum->n_cpu_s);
		if (sum->stops_at_first && sum->n_wrong > 0)
			break;
	}
}

static void print_replay(uint64_t seed)
{
	const char *before = " --without ";

	printf("again: tools/simulate --story --seed %llu", (unsigned long long)seed);
	if (world_cut.n_acts != UINT32_MAX)
		printf(" --acts %u", world_cut.n_acts);
	if (world_cut.n_load != UINT32_MAX)
		printf(" --load %u", world_cut.n_load);
	for (uint32_t i = 0; i < N_PARTS; i++) {
		if (!(world_cut.without >> i & 1))
			continue;
		printf("%s%s", before, world_parts[i]);
		before = ",";
	}
	putchar('\n');
}

static void tell_shrunk(uint64_t seed, const struct verdict *verdict)
{
	struct verdict again;

	shrink(seed, verdict);
	world_tells = TELL_LAST;
	run_one(seed, &again);
	print_replay(seed);
}

int main(int argc, char **argv)
{
	struct task task = { .seed = 1, .n_seeds = 1, .n_jobs = 1 };
	static struct sum sum;
	int option;

	/* The same addresses each time: where the library makes one a part of a hash, it counts. */
	if (!(personality(0xffffffff) & ADDR_NO_RANDOMIZE)) {
		personality(ADDR_NO_RANDOMIZE);
		execv("/proc/self/exe", argv);
	}
	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1)
		read_option(option, &task);
	if (optind < argc)
		refuse("what is that", argv[optind]);
	sum.next_seed = task.seed;
	sum.stops_at_first = task.stops_at_first;
	if (task.resume != NULL)
		read_state(task.resume, &sum);
	run_all(&task, &sum);
	if (task.shall_shrink && sum.n_wrong > 0 && sum.verdict.is_wrong)
		tell_shrunk(sum.first_wrong, &sum.verdict);
	printf("%llu datagrams and %.0f s in the worlds\n", (unsigned long long)sum.n_datagrams,
	       (double)sum.n_ns / 1e9);
	fprintf(stderr, "in a second of CPU %.0f datagrams and %.0f s of theirs\n",
		(double)sum.n_datagrams / sum.n_cpu_s, (double)sum.n_ns / 1e9 / sum.n_cpu_s);
	printf("%llu passed, %llu failed\n", (unsigned long long)(sum.n_worlds - sum.n_wrong),
	       (unsigned long long)sum.n_wrong);
	return sum.n_wrong > 0;
}
