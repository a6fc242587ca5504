/* SPDX-License-Identifier: MIT */

#include "run.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ask.h"
#include "fault.h"
#include "kernel.h"
#include "net.h"
#include "oracle.h"
#include "player.h"
#include "restart.h"
#include "steady.h"

void *__real_mmap64(void *at, size_t n, int access, int flags, int fd, off_t offset);
int __real_sigaction(int signo, const struct sigaction *action, struct sigaction *ret_old);

/* In virtual time: far more than a world takes that does not stand still. */
static const uint64_t LIFE_NS = UINT64_C(600000000000);
enum { LIFE_CPU_S = 20 };

enum kind run_kind;

/* The world ------------------------------------------------------------------------------------ */

static uint32_t draw(enum world_part part, uint32_t one_of, uint32_t most)
{
	bool would = world_pick(one_of) == 0;
	uint32_t value = world_pick(most);

	return world_has(part, would) ? value : 0;
}

static void make_weather(void)
{
	net_weather = (struct weather){ .least_ns = 1000 + world_pick(100000) };
	net_weather.most_ns = net_weather.least_ns + draw(PART_DELAY, 2, 1000000);
	net_weather.lost = draw(PART_LOSS, 4, 100000);
	net_weather.doubled = draw(PART_DOUBLES, 4, 100000);
	net_weather.refused = draw(PART_ICMP, 4, 1u << (8 + world_pick(12)));
	net_weather.merged = draw(PART_MERGING, 2, 1000000);
	world_pauses.per_million = draw(PART_PAUSES, 4, 10000);
	world_pauses.most_ns = 1 + world_pick(20000000);
	udp_rmem_max = world_pick(4) == 0 ? 4 << 20 : UDP_RMEM_DEFAULT;
	ask_begin();
}

static void *(*draw_main(struct process **ret_process))(void *arg)
{
	uint32_t chance = world_pick(12);
	enum kind kind = chance < 4 ? KIND_RESTART : chance < 11 ? KIND_PLAY : KIND_STEADY;

	if (run_kind != KIND_BY_CHANCE)
		kind = run_kind;
	*ret_process = NULL;
	if (kind == KIND_RESTART)
		return restart_main;
	*ret_process = kernel_fork();
	return kind == KIND_STEADY ? steady_main : player_main;
}

static void live(uint64_t seed, struct verdict *ret_verdict)
{
	void *(*main)(void *arg);
	struct process *process;
	struct thread *thread;
	uint64_t begin_ns;

	world_begin(seed);
	net_begin();
	fault_begin();
	make_weather();
	oracle_begin();
	main = draw_main(&process);
	thread = world_new_thread(process, process != NULL ? "main" : "director", main, NULL);
	if (process != NULL) {
		thread->next = process->threads;
		process->threads = thread;
	}
	begin_ns = world_now();
	if (!world_run(thread, begin_ns + LIFE_NS))
		world_blame("everybody waits for nothing, or for ever");
	ret_verdict->n_datagrams = oracle_count_datagrams();
	ret_verdict->n_ns = world_now() - begin_ns;
	if (world_get_blame() == NULL)
		return;
	ret_verdict->is_wrong = true;
	snprintf(ret_verdict->blame, BLAME_BYTES, "%s", world_get_blame());
}

/* Its process ---------------------------------------------------------------------------------- */

static void tell_and_die(int signo)
{
	(void)signo; /* it comes again, and is not caught then */
	if (world_tells == TELL_LAST)
		world_tell_last();
	fflush(stdout);
}

/* A crash has its story too, and a world that goes round without a point ends. */
static void watch_signals(void)
{
	static char stack[1 << 16];
	static const int signals[] = { SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL };
	stack_t alternate = { .ss_sp = stack, .ss_size = sizeof stack };
	struct sigaction action = { .sa_handler = tell_and_die,
				    .sa_flags = SA_ONSTACK | (int)SA_RESETHAND };
	struct rlimit limit = { .rlim_cur = LIFE_CPU_S, .rlim_max = LIFE_CPU_S + 1 };
	struct rlimit no_core = { 0, 0 };

	sigaltstack(&alternate, NULL);
	for (size_t i = 0; i < sizeof signals / sizeof *signals; i++)
		__real_sigaction(signals[i], &action, NULL);
	setrlimit(RLIMIT_CPU, &limit);
	setrlimit(RLIMIT_CORE, &no_core);
}

static pid_t start(uint64_t seed, struct verdict *ret_verdict)
{
	pid_t child;

	*ret_verdict = (struct verdict){ 0 };
	fflush(stdout);
	child = fork();
	if (child < 0)
		abort();
	if (child > 0)
		return child;
	watch_signals();
	live(seed, ret_verdict);
	if (world_tells == TELL_LAST)
		world_tell_last();
	fflush(stdout);
	_exit(0);
}

static void finish(int status, struct verdict *verdict)
{
	if (status == 0)
		return;
	verdict->is_wrong = true;
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGXCPU)
		snprintf(verdict->blame, BLAME_BYTES, "it has not ended after %d s", LIFE_CPU_S);
	else if (WIFSIGNALED(status))
		snprintf(verdict->blame, BLAME_BYTES, "it ended by signal %d (%s)",
			 WTERMSIG(status), strsignal(WTERMSIG(status)));
	else
		snprintf(verdict->blame, BLAME_BYTES, "it ended by exit(%d)", WEXITSTATUS(status));
}

/* What its process writes, and we read. */
static struct verdict *share_verdicts(uint32_t n)
{
	void *memory = __real_mmap64(NULL, n * sizeof(struct verdict), PROT_READ | PROT_WRITE,
				     MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED)
		abort();
	return memory;
}

void run_one(uint64_t seed, struct verdict *ret_verdict)
{
	static struct verdict *shared;
	int status;
	pid_t child;

	if (shared == NULL)
		shared = share_verdicts(1);
	child = start(seed, shared);
	waitpid(child, &status, 0);
	finish(status, shared);
	*ret_verdict = *shared;
}

struct job {
	pid_t pid; /* 0: none */
	uint64_t seed;
};

void run_many(uint64_t seed, uint64_t n, uint32_t n_jobs,
	      bool (*judged)(uint64_t seed, const struct verdict *verdict, void *arg), void *arg)
{
	static struct verdict *verdicts;
	struct job jobs[MAX_JOBS] = { 0 };
	uint32_t n_running = 0;
	bool goes_on = true;

	if (verdicts == NULL)
		verdicts = share_verdicts(MAX_JOBS);
	while (n_running > 0 || (n > 0 && goes_on)) {
		uint32_t i = 0;
		int status;
		pid_t pid;

		if (n > 0 && goes_on && n_running < n_jobs) {
			while (jobs[i].pid != 0)
				i++;
			jobs[i] = (struct job){ start(seed, &verdicts[i]), seed };
			n_running++, seed++, n--;
			continue;
		}
		pid = waitpid(-1, &status, 0);
		while (jobs[i].pid != pid)
			i++;
		n_running--;
		jobs[i].pid = 0;
		finish(status, &verdicts[i]);
		goes_on &= judged(jobs[i].seed, &verdicts[i], arg);
	}
}
