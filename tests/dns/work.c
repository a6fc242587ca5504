/* SPDX-License-Identifier: MIT */

/*
 * The work for one packet is bounded: no packet of the corpus takes more than MAX_RATIO times the
 * instructions of the median one. A child answers them, from one SIGSTOP to the next, and is
 * single-stepped meanwhile: exact, and the same on any machine under any load.
 *
 *	work FOLDER ...
 *
 * The median is that of packets that make a look-up: those that are refused at sight would make it
 * smaller, and the bound with it, the more of them the fuzzer finds.
 */

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/check.h"
#include "respond.h"
#include "wire.h"

enum { MAX_PACKETS = 20000, MAX_BYTES = 4096, MAX_RATIO = 4, MAX_PATH = 4096 };

struct packet {
	char name[256];
	size_t n;
	uint8_t data[MAX_BYTES];
	bool is_look_up;
	long n_steps;
};

static struct packet *packets;
static size_t n_packets;

static void read_packet(const char *folder, const char *name)
{
	struct packet *packet = &packets[n_packets];
	char path[MAX_PATH];
	FILE *file;

	snprintf(path, sizeof path, "%s/%s", folder, name);
	file = fopen(path, "re");
	REQUIRE(file != NULL);
	snprintf(packet->name, sizeof packet->name, "%s", name);
	packet->n = fread(packet->data, 1, sizeof packet->data, file);
	fclose(file);
	n_packets++;
}

static void read_folder(const char *path)
{
	DIR *dir = opendir(path);
	const struct dirent *entry;

	REQUIRE(dir != NULL);
	while ((entry = readdir(dir)) != NULL && n_packets < MAX_PACKETS)
		if (entry->d_name[0] != '.')
			read_packet(path, entry->d_name);
	closedir(dir);
}

/* Each packet twice: what is done only once, such as the binding of symbols, is done before. */
static void answer_all(struct respond *r, bool is_stepped)
{
	static uint8_t out[DNS_MAX_MESSAGE];

	for (size_t i = 0; i < n_packets; i++) {
		struct packet *packet = &packets[i];

		if (is_stepped)
			raise(SIGSTOP);
		respond(r, packet->data, packet->n, 0, out);
		packet->is_look_up = r->query.verdict == DNS_VERDICT_LOOK_UP;
	}
}

/* Stops twice in a row first, which costs what stopping costs. */
static void run_child(struct respond *r)
{
	answer_all(r, false);
	ptrace(PTRACE_TRACEME, 0, NULL, NULL);
	raise(SIGSTOP);
	answer_all(r, true);
	raise(SIGSTOP);
	_exit(0);
}

/* Until the child's next SIGSTOP. */
static long count_steps(pid_t child)
{
	long n = 0;
	int status;

	do {
		REQUIRE(ptrace(PTRACE_SINGLESTEP, child, NULL, NULL) == 0);
		REQUIRE(waitpid(child, &status, 0) == child);
		REQUIRE(WIFSTOPPED(status));
		n++;
	} while (WSTOPSIG(status) == SIGTRAP);
	return n;
}

static int compare(const void *a, const void *b)
{
	long x = *(const long *)a;
	long y = *(const long *)b;

	return (x > y) - (x < y);
}

static void judge(void)
{
	long *look_ups = calloc(n_packets, sizeof *look_ups);
	const struct packet *worst = &packets[0];
	size_t n = 0;
	long median;

	REQUIRE(look_ups != NULL);
	for (size_t i = 0; i < n_packets; i++) {
		if (packets[i].n_steps > worst->n_steps)
			worst = &packets[i];
		if (packets[i].is_look_up)
			look_ups[n++] = packets[i].n_steps;
	}
	REQUIRE(n > 0);
	qsort(look_ups, n, sizeof *look_ups, compare);
	median = look_ups[n / 2];
	printf("%zu packets, %zu of them look-ups, median %ld instructions; at most %ld: %s\n",
	       n_packets, n, median, worst->n_steps, worst->name);
	CHECK(worst->n_steps <= MAX_RATIO * median);
	free(look_ups);
}

int main(int argc, char **argv)
{
	struct respond r;
	long n_empty;
	int status;
	pid_t child;

	packets = calloc(MAX_PACKETS, sizeof *packets);
	REQUIRE(packets != NULL);
	for (int i = 1; i < argc; i++)
		read_folder(argv[i]);
	REQUIRE(n_packets > 0);
	respond_init(&r, SAMPLE_ZONE);
	answer_all(&r, false);
	fflush(stdout);
	child = fork();
	REQUIRE(child >= 0);
	if (child == 0)
		run_child(&r);
	REQUIRE(waitpid(child, &status, 0) == child && WIFSTOPPED(status));
	n_empty = count_steps(child);
	for (size_t i = 0; i < n_packets; i++)
		packets[i].n_steps = count_steps(child) - n_empty;
	kill(child, SIGKILL);
	waitpid(child, &status, 0);
	judge();
	respond_fini(&r);
	free(packets);
	return check_done();
}
